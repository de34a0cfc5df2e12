"""`airlock revision` and `check` on models whose types they do not create themselves, and with what others hang into Alembic.

Types of GeoAlchemy2, pgvector, SQLAlchemy-Utils and citext; entities of alembic_utils, enums of alembic-postgresql-enum.
"""

from __future__ import annotations

from pathlib import Path

import alembic
import pytest

from airlock.catalogue.structure import Column
from airlock.operations.revision.changes.columns import converting
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import airlock
from tests.airlock.system.test_extension_types import MISSING, SYSTEM

pytestmark = pytest.mark.proof

ENV = """
import os

import sqlalchemy as sa
from alembic import context

from models import metadata

engine = sa.create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://"), poolclass=sa.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
"""
MODELS = """
import enum

import sqlalchemy as sa
from geoalchemy2 import Geography, Geometry
from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.types import UserDefinedType
from sqlalchemy_utils import ChoiceType, EmailType


class Kind(enum.Enum):
    big = "b"
    small = "s"


class IP4R(UserDefinedType):
    cache_ok = True

    def get_col_spec(self, **_):
        return "ip4r"


metadata = sa.MetaData()
sa.Table("place", metadata, sa.Column("id", sa.Integer, primary_key=True), {columns})
"""
# By the type in the database: as the models spell it.
SPELLED = {
    "geometry(Point,4326)": 'Geometry("POINT", srid=4326, spatial_index=False)',
    "geography(Polygon,4326)": 'Geography("POLYGON", srid=4326, spatial_index=False)',
    "geometry(PointZ,4326)": 'Geometry("POINTZ", srid=4326, dimension=3, use_N_D_index=True)',
    "ip4r": "IP4R()",
    "citext": "CITEXT()",
    "vector(3)": "VECTOR(3)",
    "vector(5)": "VECTOR(5)",
    "halfvec(4)": "HALFVEC(4)",
    "varchar(255)": "EmailType()",
    "varchar(1)": "ChoiceType(Kind, impl=sa.String(1))",
}


def project(directory: Path, extensions: list[str], before: list[str], after: list[str]) -> Path:
    """Write a history whose table has the columns `before`, and models that want those `after` as well."""
    columns = ", ".join(f"c{number} {type_}" for number, type_ in enumerate(before))
    revisions = [
        Revision(
            "brings", "\n".join(f'op.execute("CREATE EXTENSION {one}")' for one in extensions),
            "\n".join(f'op.execute("DROP EXTENSION {one}")' for one in reversed(extensions)),
        ),
        Revision(
            "makes", f'op.execute("CREATE TABLE place (id serial PRIMARY KEY, {columns})")', 'op.execute("DROP TABLE place")'
        ),
    ]  # fmt: skip
    wanted = ", ".join(
        f'sa.Column("c{number}", {SPELLED[type_]})' for number, type_ in enumerate([*before, *after])
    )
    (directory / "models.py").write_text(MODELS.replace("{columns}", wanted))
    return write(directory, revisions)


def write(directory: Path, revisions: list[Revision]) -> Path:
    """Write the project with Alembic's own template for new revisions."""
    ini = write_project(directory, revisions, env=ENV)
    template = Path(alembic.__file__).parent / "templates/generic/script.py.mako"
    (directory / "alembic" / "script.py.mako").write_text(template.read_text())
    return ini


@pytest.mark.parametrize(
    ("scratch", "extensions", "before", "after"),
    [
        pytest.param(
            f"embedded:{max(SYSTEM, default=0)}", ["postgis", "citext", "ip4r"], ["geometry(Point,4326)", "citext"],
            ["geography(Polygon,4326)", "ip4r", "citext", "geometry(PointZ,4326)"],
            marks=pytest.mark.skipif(bool(MISSING), reason="needs Debian's PostgreSQL with its packages"),
        ),
        ("embedded:18", ["vector"], ["vector(3)", "varchar(255)"], ["halfvec(4)", "vector(5)", "varchar(255)", "varchar(1)"]),
    ],
    ids=["debian", "wheel"],
)  # fmt: skip
def test_columns_of_extensions_types_are_written(
    scratch: str, extensions: list[str], before: list[str], after: list[str], tmp_path: Path
) -> None:
    """Only the new columns are written, in one proved revision that needs no import; then models and history agree."""
    ini = project(tmp_path, extensions, before, after)
    ran = airlock(ini, "revision", "-m", "Add more", "--scratch", scratch, url=None, timeout=180)
    assert ran.code == 0, ran.out + ran.err
    assert "every downgrade proved, models and history agree" in ran.out
    (written,) = (tmp_path / "alembic" / "versions").glob("*add_more.py")
    text = written.read_text()
    assert "spatial_ref_sys" not in text
    assert not {"geoalchemy2", "pgvector", "sqlalchemy_utils"} & set(text.split())
    assert "TYPE" not in text
    assert text.count("ADD COLUMN") + text.count("add_column(") == len(after)
    ran = airlock(ini, "check", "--scratch", scratch, url=None, timeout=180)
    assert ran.code == 0, ran.out + ran.err


TYPES = """
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

mood = postgresql.ENUM("sad", 'it\\'s "fine"', name="mood", create_type=False)
other = postgresql.ENUM("x", name="Other Mood", schema="side", create_type=False)
price = postgresql.DOMAIN("price", sa.Numeric(9, 2), create_type=False)
metadata = sa.MetaData()
sa.Table(
    "place", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("m", mood), sa.Column("o", other),
    sa.Column("p", price), sa.Column("more", sa.ARRAY(mood)),
)
"""


def test_types_that_only_a_revision_creates(tmp_path: Path) -> None:
    """Enums and domains with `create_type=False`, in another schema too: models are compared all the same."""
    (tmp_path / "models.py").write_text(TYPES)
    statements = [
        "CREATE SCHEMA side", '''CREATE TYPE mood AS ENUM ('sad', 'it''s "fine"')''',
        "CREATE TYPE side.\"Other Mood\" AS ENUM ('x')", "CREATE DOMAIN price AS numeric(9,2) CHECK (VALUE >= 0)",
        'CREATE TABLE place (id serial PRIMARY KEY, m mood, o side."Other Mood", p price)',
    ]  # fmt: skip
    undo = ["DROP TABLE place", "DROP DOMAIN price", "DROP SCHEMA side CASCADE", "DROP TYPE mood"]
    up, down = ("\n".join(f"op.execute({one!r})" for one in all_) for all_ in (statements, undo))
    ini = write(tmp_path, [Revision("makes", up, down)])
    ran = airlock(ini, "revision", "-m", "Add more", url=None, timeout=180)
    assert ran.code == 0, ran.out + ran.err
    assert "models and history agree" in ran.out
    ran = airlock(ini, "check", url=None, timeout=180)
    assert ran.code == 0, ran.out + ran.err


REGISTERED = """
import alembic_postgresql_enum
import sqlalchemy as sa
from alembic_utils.pg_function import PGFunction
from alembic_utils.pg_view import PGView
from alembic_utils.replaceable_entity import register_entities

metadata = sa.MetaData()
sa.Table("place", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer),
         sa.Column("mood", sa.Enum("sad", "ok", name="mood")))
register_entities([
    PGView("public", "big", "SELECT id FROM place WHERE n > 5"),
    PGFunction("public", "twice(n integer)", "RETURNS integer AS $$ SELECT n * 2 $$ LANGUAGE sql IMMUTABLE"),
])
"""


def test_what_other_extensions_of_alembic_register_passes_through(tmp_path: Path) -> None:
    """Their operations are written with their imports, drilled and counted as models; the owner's rights stay its own.

    So does an extension that nobody has registered, with its view and what it grants to pg_monitor.
    """
    brought, scratch = ("vector", "embedded:18") if MISSING else ("pg_buffercache", f"embedded:{max(SYSTEM)}")
    (tmp_path / "models.py").write_text(REGISTERED)
    statements = [
        f"CREATE EXTENSION {brought}", "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE TABLE place (id serial PRIMARY KEY, n integer, mood mood)",
        "CREATE VIEW big AS SELECT id FROM place WHERE n > 5",
    ]  # fmt: skip
    undo = ["DROP VIEW big", "DROP TABLE place", "DROP TYPE mood", f"DROP EXTENSION {brought}"]
    up, down = ("\n".join(f"op.execute({one!r})" for one in all_) for all_ in (statements, undo))
    ini = write(tmp_path, [Revision("makes", up, down)])
    ran = airlock(ini, "revision", "-m", "Add twice", "--scratch", scratch, url=None, timeout=180)
    assert ran.code == 0, ran.out + ran.err
    (written,) = (tmp_path / "alembic" / "versions").glob("*add_twice.py")
    text = written.read_text()
    assert brought not in text
    assert text.count("op.create_entity(") == text.count("op.drop_entity(") == 1
    assert "from alembic_utils.pg_function import PGFunction" in text
    ran = airlock(ini, "check", "--scratch", scratch, url=None, timeout=180)
    assert ran.code == 0, ran.out + ran.err
    (tmp_path / "models.py").write_text(REGISTERED.replace('"ok", name', '"ok", "glad", name'))
    ran = airlock(ini, "revision", "-m", "Add glad", "--scratch", scratch, url=None, timeout=180)
    assert ran.code == 0, ran.out + ran.err
    (written,) = (tmp_path / "alembic" / "versions").glob("*add_glad.py")
    text = written.read_text()
    # Its own operation would rewrite the table on the way down.
    assert "ALTER TYPE mood ADD VALUE" in text
    assert "sync_enum_values" not in text


def test_a_geometry_of_another_srid_is_projected() -> None:
    """Its twin's values are of the other reference system: a cast alone is refused."""
    column = Column("g", "public.geometry(Point,3857)", None, False, None, "", "", None, ())
    spelt = converting.cast("g", "public.geometry(Point,4326)", column)
    assert spelt == "public.ST_Transform(g, 3857)::public.geometry(Point,3857)"
