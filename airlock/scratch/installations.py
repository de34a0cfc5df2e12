"""Extensions, and ICU, that a history asks for: which installation on this machine has them, and the line that brings one."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.database import missing
from airlock.scratch import embedded, extensions

if TYPE_CHECKING:
    from collections.abc import Iterable

# Named beside extensions: what a server has by its build. No extension's name has a blank in it.
ICU = "ICU collations"
# A collation made with ICU, in SQL or in SQLAlchemy's words, or one of those that come with it ("und-x-icu").
_OF_ICU = re.compile(r"provider[\"']?\s*[=:]?\s*[\"'\\]*icu\b|\w-x-icu\b|\bicu_locale\b", re.IGNORECASE)
# What only a server without ICU has to say.
_WITHOUT_ICU = b"ICU is not supported in this build"
_CREATED = re.compile(r"CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"'\\]*([a-z][\w-]*)", re.IGNORECASE)
# Debian's and PGDG's packages, by what follows postgresql-NN-; what is not named comes with the server (contrib).
_PACKAGES = {
    "vector": "pgvector", "postgis": "postgis-3", "postgis_topology": "postgis-3", "postgis_raster": "postgis-3",
    "pg_cron": "cron", "pg_partman": "partman", "hypopg": "hypopg", "pg_repack": "repack", "pgaudit": "pgaudit",
    "pgtap": "pgtap", "rum": "rum", "ltree_plpython3u": "plpython3", "plpython3u": "plpython3", "pgq": "pgq3",
    "hll": "hll", "pg_similarity": "similarity", "pgrouting": "pgrouting", "semver": "semver", "ip4r": "ip4r",
    "tdigest": "tdigest", "pgmp": "pgmp", "numeral": "numeral", "asn1oid": "asn1oid", "pg_sphere": "pgsphere",
    "postgis_sfcgal": "postgis-3", "postgis_tiger_geocoder": "postgis-3", "pointcloud": "pointcloud", "q3c": "q3c",
    "prefix": "prefix", "orafce": "orafce", "pg_rational": "rational", "pglogical": "pglogical", "plv8": "plv8",
    "pg_hint_plan": "hint-plan", "periods": "periods", "unit": "unit", "debversion": "debversion", "h3": "h3",
    "age": "age", "timescaledb": "timescaledb",
}  # fmt: skip
# Of those, packages of PGDG that Debian 12 does not have.
_OF_PGDG = frozenset({"vector", "h3"})
# Comes with postgresql-common, which each of Debian's servers brings: it adds PGDG's packages to the list.
_ADD_PGDG = "/usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && "


def asked_for(places: Iterable[Path]) -> frozenset[str]:
    """Read which extensions some files, or those of some directories, create, and whether they name ICU. Runs nothing."""
    from airlock.project.own_files import own_files

    found: set[str] = set()
    for place in places:
        for file in (place,) if place.is_file() else own_files(place, ".py", ".sql"):
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            found |= {name.lower() for name in _CREATED.findall(text)}
            if _OF_ICU.search(text):
                found.add(ICU)
    return frozenset(found)


def there(bindir: Path) -> frozenset[str]:
    """Name the extensions whose files an installation has, and ICU where its server was built with it."""
    places = (
        bindir.parent / "share" / "extension",
        bindir.parent / "share" / "postgresql" / "extension",
        Path("/usr/share/postgresql") / bindir.parent.name / "extension",
    )
    files = frozenset(file.stem for place in places for file in place.glob("*.control"))
    return files | {ICU} if _built_with_icu(bindir / "postgres") else files


@functools.cache
def _built_with_icu(server: Path) -> bool:
    try:
        return _WITHOUT_ICU not in server.read_bytes()
    except OSError:
        return False


def fitting(spec: str, needed: frozenset[str]) -> str:
    """Choose the embedded server that has most of the extensions, where the one that would be taken lacks some.

    `spec` is returned as it is where it names more than `embedded`, and where no other installation is better.
    """
    found = embedded.available()
    if spec != "embedded" or not needed or not found:
        return spec
    having = {major: len(needed & there(bindir)) for major, bindir in found.items()}
    best = max(having, key=lambda major: (having[major], major))
    return f"embedded:{best}" if having[best] > having[max(found)] else spec


def line(name: str) -> str:
    """Say what to do so that a scratch server has an extension."""
    if extensions.leads_out(name):
        return missing.ADVICE_ON_OUTWARD
    having = [major for major, bindir in embedded.available().items() if name in there(bindir)]
    if having:
        return f"--scratch embedded:{max(having)}, which has it"
    majors = [int(one.name) for one in Path("/usr/lib/postgresql").glob("*") if one.name.isdigit()]
    major = max(majors, default=0)
    package = _PACKAGES.get(name)
    if package is None:
        packages = f"postgresql-{major}" if major else "postgresql"
    else:
        packages = f"postgresql-{major}-{package}" if major else f"postgresql-NN-{package}"
    source = _ADD_PGDG if name in _OF_PGDG and Path(_ADD_PGDG.partition(" ")[0]).exists() else ""
    return (
        f"{source}apt-get install {packages}, or AIRLOCK_POSTGRES with an installation that has it, or POSTGRES_IMAGE and"
        " --scratch container, or --scratch URL"
    )
