"""Database URLs as providers hand them out, turned into what each driver takes.

Also read by every migration run: nothing heavy is imported here. No message ever repeats a part of a URL.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import URL, make_url

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
_DRIVERS = {"postgres", "postgresql", "postgresql+psycopg2", "postgresql+asyncpg", "postgresql+psycopg"}
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

# libpq's parameters that only tune the connection: where asyncpg has no counterpart they can go.
_ONLY_LIBPQ = {
    "channel_binding", "client_encoding", "fallback_application_name", "gssencmode", "keepalives",
    "keepalives_count", "keepalives_idle", "keepalives_interval", "sslcompression", "sslnegotiation", "sslsni",
    "tcp_user_timeout",
}  # fmt: skip
_SSL_PARAMETERS = {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword"}


class ConfigurationError(Exception):
    """A setting is missing or malformed. One line, naming the variable; never its value."""

    exit_code = 2


def unreadable(dotenv: Path) -> ConfigurationError:
    """Say that there is a `.env` which is not text, or not ours to read."""
    return ConfigurationError(f"{dotenv.name} cannot be read: it is not UTF-8, or belongs to somebody else.")


def parse(text: str, variable: str) -> URL:
    """Read a PostgreSQL URL. Raises ConfigurationError naming `variable` and, in words, what is wrong."""
    text = text.strip()
    scheme = text.partition("://")[0].lower()
    if "://" not in text or scheme not in _DRIVERS:
        raise ConfigurationError(
            f"{variable} is not a PostgreSQL URL (postgresql://user:password@host/database)."
        )
    try:
        url = make_url(text).set(drivername="postgresql")
        port = url.port
    except Exception:  # noqa: BLE001  (its message, and its chain, would repeat the password)
        raise ConfigurationError(
            f"{variable} cannot be read as a URL; is every special character %-encoded?"
        ) from None
    if port is not None and not 0 < port < 65536:
        raise ConfigurationError(f"{variable} names a port that does not exist.")
    if url.host is not None and "@" in url.host:
        raise ConfigurationError(f"{variable} has an @ too many: inside a password it is written %40.")
    if not url.database:
        raise ConfigurationError(f"{variable} names no database.")
    mode = url.query.get("sslmode")
    if mode is not None and mode not in _SSL_MODES:
        raise ConfigurationError(f"{variable}: sslmode is one of {', '.join(_SSL_MODES)}.")
    return url


def psycopg2_url(url: URL) -> URL:
    """Spell the URL for SQLAlchemy's psycopg2 dialect: libpq reads all its parameters itself."""
    return url.set(drivername="postgresql+psycopg2")


def asyncpg_url(url: URL, variable: str = "DATABASE_URL") -> tuple[URL, dict[str, Any]]:
    """Spell the URL for SQLAlchemy's asyncpg dialect, with the `connect_args` that stand for its parameters.

    libpq's TLS modes keep their meaning. Raises ConfigurationError for a parameter that asyncpg cannot honour.
    """
    query: dict[str, str] = {
        name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()
    }
    keep: dict[str, str] = {name: query.pop(name) for name in ("host", "port") if name in query}
    arguments: dict[str, Any] = {}
    server_settings = {name: query.pop(name) for name in ("application_name", "options") if name in query}
    if server_settings:
        arguments["server_settings"] = server_settings
    if "connect_timeout" in query:
        arguments["timeout"] = _seconds(query.pop("connect_timeout"), variable)
    if "target_session_attrs" in query:
        arguments["target_session_attrs"] = query.pop("target_session_attrs")
    tls = {name: query.pop(name) for name in _SSL_PARAMETERS if name in query}
    over_tcp = bool(url.host) or not keep.get("host", "/").startswith("/")
    if tls and over_tcp:
        arguments["ssl"] = _tls(tls, variable)
    elif not over_tcp:
        arguments["ssl"] = False
    unknown = sorted(set(query) - _ONLY_LIBPQ)
    if unknown:
        raise ConfigurationError(f"{variable}: asyncpg cannot honour the parameter {unknown[0]}.")
    return url.set(drivername="postgresql+asyncpg", query=dict[str, str | tuple[str, ...]](keep)), arguments


def _seconds(text: str, variable: str) -> float | None:
    """Read a connect_timeout as libpq does: whole seconds, and zero or less waits for ever."""
    try:
        seconds = int(text)
    except ValueError:
        raise ConfigurationError(f"{variable}: connect_timeout is a whole number of seconds.") from None
    return float(seconds) if seconds > 0 else None


def _tls(tls: Mapping[str, str], variable: str) -> ssl.SSLContext | str:
    mode = tls.get("sslmode", "prefer")
    roots = tls.get("sslrootcert")
    if mode == "require" and roots:
        mode = "verify-ca"  # libpq: a root certificate makes `require` check the chain
    if mode in ("disable", "allow", "prefer") and "sslcert" not in tls:
        return mode
    context = ssl.create_default_context()
    try:
        if mode.startswith("verify"):
            if roots != "system":
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations(roots or Path.home() / ".postgresql" / "root.crt")
            context.check_hostname = mode == "verify-full"
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if "sslcert" in tls:
            context.load_cert_chain(tls["sslcert"], tls.get("sslkey"), tls.get("sslpassword"))
    except (OSError, ssl.SSLError):
        if mode.startswith("verify") and not roots:
            raise ConfigurationError(
                f"{variable}: sslmode={mode} needs sslrootcert=FILE or sslrootcert=system: ~/.postgresql/root.crt cannot be read."
            ) from None
        raise ConfigurationError(
            f"{variable}: a certificate or key file that it names cannot be read."
        ) from None
    return context


def is_pooled(url: URL) -> bool:
    """Recognise Neon's pooler (PgBouncer in transaction mode) by its host name."""
    return "-pooler." in (url.host or "")


def migration_url(environ: Mapping[str, str] | None = None, dotenv: Path | None = ROOT / ".env") -> URL:
    """Choose the database that a migration run is for: DATABASE_URL_UNPOOLED, else DATABASE_URL.

    The environment comes before `.env`; empty equals missing. Raises ConfigurationError where there is none.
    """
    places: list[Mapping[str, str | None]] = [os.environ if environ is None else environ]
    if dotenv is not None and dotenv.exists():
        from dotenv import dotenv_values

        try:
            places.append(dotenv_values(dotenv))
        except (OSError, UnicodeError):
            raise unreadable(dotenv) from None
    for place in places:
        for variable in ("DATABASE_URL_UNPOOLED", "DATABASE_URL"):
            text = (place.get(variable) or "").strip()
            if text:
                return parse(text, variable)
    raise ConfigurationError("DATABASE_URL is not set: set it in the environment or in .env (make env).")
