"""Where to migrate: one URL, taken from the command line, the environment or the ini, and never printed.

The URL is taken apart here, once, and handed to libpq as keywords: libpq's and SQLAlchemy's own parse errors
quote pieces of it. A target has a label that may be printed; nothing else of it may.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from airlock.records.errors import Usage
from airlock.records.secrets import remember, remember_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The migrations' own endpoint first: a pooled one gives every transaction another session.
VARIABLES = ("DATABASE_URL_UNPOOLED", "DATABASE_URL")
_SCHEMES = re.compile(r"(?:postgresql|postgres)(?:\+[a-z0-9_]+)?")
_OTHER_DATABASES = re.compile(r"(mysql|mariadb|sqlite|mssql|oracle|cockroachdb|redshift|duckdb)\b.*")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,252})?|[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?|/[^\x00]*")
_NEON_POOLER = re.compile(r"(ep-[a-z0-9-]+?)-pooler(\..+)")
# libpq 17's connection keywords, without those that have a place of their own in a URL.
_KEYWORDS = frozenset(
    {
        "host",
        "hostaddr",
        "port",
        "user",
        "password",
        "dbname",
        "passfile",
        "service",
        "servicefile",
        "options",
    }
    | {"sslmode", "sslnegotiation", "sslcompression", "sslcert", "sslkey", "sslpassword", "sslcertmode"}
    | {"sslrootcert", "sslcrl", "sslcrldir", "sslsni", "ssl_min_protocol_version", "ssl_max_protocol_version"}
    | {
        "channel_binding",
        "gssencmode",
        "krbsrvname",
        "gsslib",
        "gssdelegation",
        "require_auth",
        "requirepeer",
    }
    | {"target_session_attrs", "load_balance_hosts", "connect_timeout", "client_encoding", "application_name"}
    | {
        "fallback_application_name",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
    }
    | {"tcp_user_timeout"}
)
# Understood by asyncpg or SQLAlchemy only; they do not say where the database is.
_DRIVER_ONLY = frozenset(
    {
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "statement_cache_size",
        "command_timeout",
    }
    | {"timeout", "async_fallback", "server_settings", "max_cached_statement_lifetime", "executemany_mode"}
    | {"max_cacheable_statement_size", "direct_tls", "prepare_threshold"}
)
# libpq's variables that decide which server, database or session it is, and the keyword that keeps each from counting.
_PLACES = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGSERVICE": "service",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGLOADBALANCEHOSTS": "load_balance_hosts",
    "PGOPTIONS": "options",
}
_SSL_WORDS = {
    "true": "require",
    "1": "require",
    "on": "require",
    "false": "disable",
    "0": "disable",
    "off": "disable",
}


@dataclass(frozen=True)
class Target:
    """One database to work on. Only `label`, `source` and `notes` may be printed."""

    parameters: Mapping[str, str] = field(repr=False, hash=False)
    label: str
    source: str
    notes: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Spell the libpq URL, every part percent-encoded. A secret.

        One host stands where every reader of URLs looks for it: a project's settings refuse one without (PostgresDsn).
        """
        rest = dict(self.parameters)
        place, port = rest.get("host", ""), rest.get("port", "")
        if place and not place.startswith(("/", "@")) and "," not in place + port:
            del rest["host"]
            place = f"[{place}]" if ":" in place else quote(place, safe="")
            place += f":{port}" if rest.pop("port", "") else ""
        else:
            place = ""
        user = quote(rest.pop("user", ""), safe="")
        password = rest.pop("password", None)
        database = quote(rest.pop("dbname", ""), safe="")
        login = f"{user}:{quote(password, safe='')}@" if password is not None else f"{user}@" if user else ""
        options = "&".join(f"{name}={quote(value, safe='/')}" for name, value in sorted(rest.items()))
        return f"postgresql://{login}{place}/{database}" + (f"?{options}" if options else "")


def parse(url: str, source: str = "The URL") -> Target:
    """Take a PostgreSQL URL apart, whatever driver it names. Raises Usage without quoting any of it."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    url = url.strip()
    remember_in(url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise Usage(_shape(source), then="postgresql://USER:PASSWORD@HOST/DATABASE") from None
    remember(parsed.password if isinstance(parsed.password, str) else None)
    if not _SCHEMES.fullmatch(parsed.drivername):
        other = _OTHER_DATABASES.fullmatch(parsed.drivername)
        what = (
            f"{source} names a {other.group(1)} database; airlock works on PostgreSQL."
            if other
            else _shape(source)
        )
        raise Usage(what, then="postgresql://USER:PASSWORD@HOST/DATABASE")
    if url.count("@") > 1:
        raise Usage(f"{source} has more than one '@'; inside a user name or password it is written %40.")
    if "@" in url.partition("?")[0] and parsed.username is None and parsed.password is None:
        raise Usage(f"{source} has a '/' before its '@'; inside a user name or password it is written %2F.")
    found: dict[str, str | int | None] = {
        "user": parsed.username,
        "password": parsed.password,
        "host": parsed.host,
        "dbname": parsed.database,
    }
    found["port"] = str(parsed.port) if parsed.port is not None else None
    parameters: dict[str, str] = {name: str(value) for name, value in found.items() if value}
    parameters |= _options(parsed.query, source)
    remember(parameters.get("password"))
    remember(parameters.get("sslpassword"))
    parameters, notes = _direct(parameters)
    _validate(parameters, source)
    return Target(
        parameters, _label(parameters, known_login="@" in url or "user" in parsed.query), source, notes
    )


def resolve_target(
    explicit: str | None, environ: Mapping[str, str], ini_url: Callable[[], str | None]
) -> Target:
    """Choose the target: `--url`, else DATABASE_URL_UNPOOLED, DATABASE_URL, the ini. Empty equals missing."""
    for setting in environ.values():
        if "://" in setting:
            remember_in(setting)
    remember(environ.get("PGPASSWORD"))
    candidates = [("--url", explicit), *((name, environ.get(name)) for name in VARIABLES)]
    for source, value in candidates:
        if value and value.strip():
            return _beside(parse(value, source), environ)
    from_ini = ini_url()
    if from_ini and from_ini.strip():
        return _beside(parse(from_ini, "sqlalchemy.url of the ini"), environ)
    raise Usage("No database is named.", then="--url, or set DATABASE_URL")


def with_parts(target: Target, parts: Mapping[str, str], source: str) -> Target:
    """Copy a target with other libpq keywords in place of its own. Raises Usage without quoting any of them."""
    kept = {
        name: value for name, value in target.parameters.items() if name != "hostaddr" or "host" not in parts
    }
    parameters, notes = _direct({**kept, **parts})
    remember(parameters.get("password"))
    _validate(parameters, source)
    notes = tuple(dict.fromkeys((*target.notes, *notes)))
    # Not the variable's any more that the other was named by: env.py must find this one there.
    return Target(parameters, _label(parameters, known_login=True), source, notes)


def _beside(target: Target, environ: Mapping[str, str]) -> Target:
    """Note which of libpq's variables say where to connect, beside a URL that does not say it itself."""
    adding = [
        name for name, keyword in _PLACES.items() if environ.get(name) and (keyword not in target.parameters)
    ]
    if not adding:
        return target
    verb = "adds" if len(adding) == 1 else "add"
    note = f"{' and '.join(adding)} of the environment {verb} to what {target.source} says."
    return dataclasses.replace(target, notes=(*target.notes, note))


def _shape(source: str) -> str:
    return f"{source} is not a PostgreSQL URL."


def _options(query: Mapping[str, str | tuple[str, ...]], source: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in query.items():
        last = value if isinstance(value, str) else ",".join(value)
        if name == "ssl":
            found["sslmode"] = _SSL_WORDS.get(last.lower(), last)
        elif name in _KEYWORDS:
            found[name] = last
        elif name not in _DRIVER_ONLY:
            shown = f" '{name}'" if re.fullmatch(r"[a-z_]{2,32}", name) else ""
            raise Usage(f"{source} has an option{shown} that PostgreSQL's client does not know.")
    return {name: value for name, value in found.items() if value}


def _direct(parameters: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Leave Neon's pooled endpoint for the direct one, whose name is known."""
    pooled = _NEON_POOLER.fullmatch(parameters.get("host", ""))
    if pooled is None:
        return parameters, ()
    note = "The pooled endpoint was left for the direct one (-pooler taken off the host)."
    return {**parameters, "host": pooled.group(1) + pooled.group(2)}, (note,)


def _validate(parameters: Mapping[str, str], source: str) -> None:
    for value in parameters.values():
        if "\x00" in value or "\n" in value:
            raise Usage(f"{source} holds a line break or a zero byte.")
    for host in parameters.get("host", "").split(","):
        if host and not _HOST.fullmatch(host):
            raise Usage(
                f"{source} has a host that is no host name; encode special characters of the password."
            )
    for port in parameters.get("port", "").split(","):
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise Usage(f"{source} has a port that is not a number between 1 and 65535.")


def _label(parameters: Mapping[str, str], *, known_login: bool) -> str:
    host = parameters.get("host", "")
    place = "a local socket" if not host or host.startswith("/") else host
    # Without '@', what stands behind a colon may be a password whose host was forgotten.
    port = parameters.get("port", "5432") if known_login else "5432"
    name = parameters.get("dbname", "the default database")
    database = name if re.fullmatch(r"[\w.$ -]{1,63}", name) else "the database"
    return f"{database} on {place}" + (f":{port}" if port != "5432" else "")
