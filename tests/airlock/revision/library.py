"""An ordinary library, as most Alembic projects are: serial keys, enums, relationships, two schemas, quoted names.

Beside it its rows, what its code inserts, and edits of its models.
"""

from __future__ import annotations

import dataclasses
import sys
import types

import sqlalchemy as sa

SOURCE = """
import enum

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import DeclarativeBase, relationship


class Base(DeclarativeBase):
    pass


class Status(enum.Enum):
    draft = 1
    open = 2
    closed = 3


class Kind(enum.Enum):
    book = 1
    tape = 2


class Publisher(Base):
    __tablename__ = "publishers"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(80), nullable=False)
    city = sa.Column(sa.String(40))
    street = sa.Column(sa.String(80))
    rating = sa.Column(sa.Numeric(10, 2))
    books = relationship("Book", back_populates="publisher", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "books"
    id = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.String(200), nullable=False)
    isbn = sa.Column(sa.String(20))
    status = sa.Column(sa.Enum(Status), nullable=False, server_default="draft")
    kind = sa.Column(sa.Enum(Kind, name="kind"))
    language = sa.Column(sa.String(10))
    publisher_id = sa.Column(sa.Integer, sa.ForeignKey("publishers.id", ondelete="CASCADE"), index=True)
    editor_id = sa.Column(sa.Integer)
    bought = sa.Column(sa.DateTime)
    extra = sa.Column(sa.JSON)
    tags = sa.Column(pg.ARRAY(sa.String(20)))
    numbers = sa.Column(pg.ARRAY(sa.Integer))
    price = sa.Column(sa.Numeric(10, 2), nullable=False, server_default="0")
    pages = sa.Column(sa.Integer)
    note = sa.Column(sa.Text)
    active = sa.Column(sa.Boolean, server_default=sa.true(), nullable=False)
    publisher = relationship("Publisher", back_populates="books")
    __table_args__ = (
        sa.CheckConstraint("pages > 0", name="ck_books_pages"),
        sa.Index("ix_books_title_lower", sa.func.lower(title)),
    )


class Loan(Base):
    __tablename__ = "Loan Slips"
    __table_args__ = {"schema": "Desk"}
    id = sa.Column("Slip No", sa.Integer, primary_key=True)
    book_id = sa.Column("Book", sa.Integer, sa.ForeignKey("books.id"), nullable=False)
    who = sa.Column("Who's", sa.String(30), nullable=False)
    due = sa.Column(sa.Date)


class Fine(Base):
    __tablename__ = "fines"
    __table_args__ = {"schema": "Desk"}
    id = sa.Column(sa.Integer, primary_key=True)
    loan_id = sa.Column(sa.Integer, sa.ForeignKey("Desk.Loan Slips.Slip No", ondelete="SET NULL"))
    cents = sa.Column(sa.Integer, nullable=False)
"""
ROWS = (
    (
        "INSERT INTO publishers (name, city, street, rating)"
        " SELECT 'P' || i, CASE WHEN i % 3 > 0 THEN 'C' || i % 4 END, 'S' || i, i * 1.25 FROM generate_series(1, 50) i"
    ),
    (
        "INSERT INTO books (title, isbn, status, kind, language, publisher_id, editor_id, bought, extra, tags, numbers, price, pages, note)"
        " SELECT 'T' || i, nullif(i, 7)::text, (ARRAY['draft', 'open', 'closed'])[i % 3 + 1]::status,"
        " (ARRAY['book', 'tape', NULL])[i % 3 + 1]::kind, (ARRAY['en', 'de', NULL])[i % 3 + 1], nullif(i, 9), i,"
        " '2026-01-01'::timestamp + i * interval '1 hour', json_build_object('a', i), ARRAY['x', 'y' || i], ARRAY[i, i + 1],"
        " i * 1.5, i, CASE WHEN i % 2 = 0 THEN 'n' || i END FROM generate_series(1, 50) i"
    ),
    """INSERT INTO "Desk"."Loan Slips" ("Book", "Who's", due) SELECT i, 'W' || i, '2026-02-01'::date + i FROM generate_series(1, 50) i""",
    """INSERT INTO "Desk".fines (loan_id, cents) SELECT i, i * 100 FROM generate_series(1, 50) i""",
)
# What code inserts; N stands for a number that was not used before.
CODE = (
    "INSERT INTO publishers (name, city, street, rating) VALUES ('PN', 'C', 'S', 1.25)",
    (
        "INSERT INTO books (title, isbn, status, kind, language, publisher_id, editor_id, bought, extra, tags, numbers, price, pages, note)"
        " VALUES ('TN', 'N', 'open', 'book', 'en', 1, 2, '2026-03-01', '{}', ARRAY['x'], ARRAY[1], 2.5, N, 'n')"
    ),
    """INSERT INTO "Desk"."Loan Slips" ("Book", "Who's", due) VALUES (1, 'WN', '2026-02-01')""",
    """INSERT INTO "Desk".fines (loan_id, cents) VALUES (1, 100)""",
)


@dataclasses.dataclass(frozen=True)
class Edit:
    """One edit: texts of the models and what stands in their place, and how code and rows follow.

    `code` are pairs of texts in what code inserts, `more` what only new code inserts; `lost` the tables and columns whose values a downgrade may lose; `said` what is said instead of a revision.
    """

    pairs: tuple[str, ...]
    renames: tuple[str, ...] = ("none",)
    code: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    said: str = ""

    @property
    def source(self) -> str:
        """Give the models after it."""
        text = SOURCE
        for old, new in zip(self.pairs[::2], self.pairs[1::2], strict=True):
            assert old in text, old
            text = text.replace(old, new)
        return text


EDITS: dict[str, Edit] = {}


def edit(
    name: str,
    *pairs: str,
    renames: tuple[str, ...] = ("none",),
    code: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
    lost: tuple[str, ...] = (),
    said: str = "",
) -> None:
    """Register an edit."""
    EDITS[name] = Edit(pairs, renames, code, more, lost, said)


def metadata_of(source: str) -> sa.MetaData:
    """Build the models of a source, in a module of its own: relationships are resolved by names."""
    module = types.ModuleType(f"library_{len(sys.modules)}")
    sys.modules[module.__name__] = module
    exec(source, module.__dict__)  # noqa: S102  our own text
    found: sa.MetaData = module.Base.metadata
    return found


edit(
    "column_moved_between_tables",
    "    street = sa.Column(sa.String(80))\n",
    "",
    "    language = sa.Column(sa.String(10))\n",
    "    language = sa.Column(sa.String(10))\n    street = sa.Column(sa.String(80))\n",
    code=(
        "city, street, rating) VALUES ('PN', 'C', 'S', 1.25)",
        "city, rating) VALUES ('PN', 'C', 1.25)",
        "language, publisher_id",
        "language, street, publisher_id",
        "'en', 1, 2",
        "'en', 's', 1, 2",
    ),
    lost=("publishers.street",),
)
edit(
    "fk_on_column_without_orphans",
    "    editor_id = sa.Column(sa.Integer)\n",
    '    editor_id = sa.Column(sa.Integer, sa.ForeignKey("publishers.id"))\n',
)
edit(
    "unique_no_duplicates",
    "isbn = sa.Column(sa.String(20))",
    "isbn = sa.Column(sa.String(20), unique=True)",
)
edit(
    "pk_int_to_uuid_leaf",
    'class Fine(Base):\n    __tablename__ = "fines"\n    __table_args__ = {"schema": "Desk"}\n    id = sa.Column(sa.Integer, primary_key=True)',
    'class Fine(Base):\n    __tablename__ = "fines"\n    __table_args__ = {"schema": "Desk"}\n    id = sa.Column(sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()"))',
    said="no integer is a uuid",
)
edit(
    "pk_int_to_uuid_referred",
    'class Publisher(Base):\n    __tablename__ = "publishers"\n    id = sa.Column(sa.Integer, primary_key=True)',
    'class Publisher(Base):\n    __tablename__ = "publishers"\n    id = sa.Column(sa.Uuid, primary_key=True, server_default=sa.text("gen_random_uuid()"))',
    "publisher_id = sa.Column(sa.Integer, ",
    "publisher_id = sa.Column(sa.Uuid, ",
    said="no integer is a uuid",
)
edit(
    "serial_to_identity",
    'class Publisher(Base):\n    __tablename__ = "publishers"\n    id = sa.Column(sa.Integer, primary_key=True)',
    'class Publisher(Base):\n    __tablename__ = "publishers"\n    id = sa.Column(sa.Integer, sa.Identity(always=True), primary_key=True)',
)
edit(
    "serial_to_bigserial_quoted",
    'id = sa.Column("Slip No", sa.Integer',
    'id = sa.Column("Slip No", sa.BigInteger',
    "loan_id = sa.Column(sa.Integer",
    "loan_id = sa.Column(sa.BigInteger",
)
HOUSES = (
    'class Publisher(Base):\n    __tablename__ = "publishers"',
    'class Publisher(Base):\n    __tablename__ = "houses"',
    "    city = sa",
    "    town = sa",
    '"publishers.id"',
    '"houses.id"',
)
edit(
    "rename_table_and_column",
    *HOUSES,
    renames=("publishers:houses", "publishers.city:town"),
    code=("publishers (name, city", "houses (name, town"),
)
edit(
    "rename_table_and_column_other_order",
    *HOUSES,
    renames=("publishers:houses", "houses.city:town"),
    code=("publishers (name, city", "houses (name, town"),
)
edit(
    "rename_quoted",
    '"Who\'s"',
    '"Who Is"',
    renames=("Desk.Loan Slips.Who's:Who Is",),
    code=('"Who\'s"', '"Who Is"'),
)
edit(
    "rename_and_retype_column",
    "    pages = sa.Column(sa.Integer)",
    "    leaves = sa.Column(sa.BigInteger)",
    '"pages > 0", name="ck_books_pages"',
    '"leaves > 0", name="ck_books_pages"',
    renames=("books.pages:leaves",),
    code=("pages", "leaves"),
)
edit(
    "not_null_with_default",
    "language = sa.Column(sa.String(10))",
    'language = sa.Column(sa.String(10), nullable=False, server_default="en")',
    lost=("books.language",),
)
edit(
    "not_null_without_default",
    "language = sa.Column(sa.String(10))",
    "language = sa.Column(sa.String(10), nullable=False)",
    lost=("books.language",),
)
edit(
    "not_null_fk",
    'publisher_id = sa.Column(sa.Integer, sa.ForeignKey("publishers.id", ondelete="CASCADE"), index=True)',
    'publisher_id = sa.Column(sa.Integer, sa.ForeignKey("publishers.id", ondelete="CASCADE"), index=True, nullable=False)',
    lost=("books.publisher_id",),
)
edit(
    "not_null_unique",
    "isbn = sa.Column(sa.String(20))",
    "isbn = sa.Column(sa.String(20), unique=True, nullable=False)",
    lost=("books.isbn",),
)
edit(
    "wider_and_required",
    "    editor_id = sa.Column(sa.Integer)\n",
    '    editor_id = sa.Column(sa.BigInteger, nullable=False, server_default="0")\n',
    lost=("books.editor_id",),
)
edit(
    "json_to_jsonb_required",
    "extra = sa.Column(sa.JSON)",
    "extra = sa.Column(pg.JSONB, nullable=False, server_default=sa.text(\"'{}'\"))",
    lost=("books.extra",),
)
edit(
    "enum_add",
    "    closed = 3\n",
    "    closed = 3\n    lost = 4\n",
)
edit(
    "enum_rename",
    "    closed = 3\n",
    "    shut = 3\n",
    renames=("status.closed:shut",),
)
edit(
    "enum_remove",
    "    closed = 3\n",
    "",
    lost=("books.status",),
)
edit(
    "enum_reorder",
    "    draft = 1\n    open = 2\n    closed = 3\n",
    "    open = 2\n    draft = 1\n    closed = 3\n",
)
edit(
    "enum_to_text",
    'sa.Enum(Status), nullable=False, server_default="draft"',
    'sa.Text, nullable=False, server_default="draft"',
)
edit(
    "enum_to_check_enum",
    'sa.Enum(Status), nullable=False, server_default="draft"',
    'sa.Enum(Status, native_enum=False, create_constraint=True, length=20), nullable=False, server_default="draft"',
)
edit(
    "text_to_enum",
    "language = sa.Column(sa.String(10))",
    'language = sa.Column(sa.Enum("en", "de", name="language"))',
)
edit(
    "enum_nullable_to_other_enum",
    'sa.Enum(Kind, name="kind")',
    'sa.Enum("book", "tape", "disc", name="sort")',
)
edit(
    "timestamp_to_timestamptz",
    "bought = sa.Column(sa.DateTime)",
    "bought = sa.Column(sa.DateTime(timezone=True))",
)
edit(
    "timestamp_to_date",
    "bought = sa.Column(sa.DateTime)",
    "bought = sa.Column(sa.Date)",
    lost=("books.bought",),
)
edit(
    "json_to_jsonb",
    "extra = sa.Column(sa.JSON)",
    "extra = sa.Column(pg.JSONB)",
    lost=("books.extra",),
)
edit(
    "json_to_jsonb_gin_default",
    "extra = sa.Column(sa.JSON)",
    "extra = sa.Column(pg.JSONB, server_default=sa.text(\"'{}'::jsonb\"))",
    'sa.Index("ix_books_title_lower"',
    'sa.Index("ix_books_extra", extra, postgresql_using="gin", postgresql_ops={"extra": "jsonb_path_ops"}), sa.Index("ix_books_title_lower"',
    lost=("books.extra",),
)
edit(
    "array_wider",
    "tags = sa.Column(pg.ARRAY(sa.String(20)))",
    "tags = sa.Column(pg.ARRAY(sa.String(40)))",
)
edit(
    "array_text",
    "tags = sa.Column(pg.ARRAY(sa.String(20)))",
    "tags = sa.Column(pg.ARRAY(sa.Text))",
)
edit(
    "array_int_to_bigint",
    "numbers = sa.Column(pg.ARRAY(sa.Integer))",
    "numbers = sa.Column(pg.ARRAY(sa.BigInteger))",
)
edit(
    "array_default_not_null",
    "numbers = sa.Column(pg.ARRAY(sa.Integer))",
    'numbers = sa.Column(pg.ARRAY(sa.Integer), nullable=False, server_default="{}")',
)
edit(
    "fk_cycle_tables",
    "class Fine(Base):",
    'class Team(Base):\n    __tablename__ = "teams"\n    id = sa.Column(sa.Integer, primary_key=True)\n    lead_id = sa.Column(sa.Integer, sa.ForeignKey("members.id", name="fk_teams_lead", use_alter=True))\nclass Member(Base):\n    __tablename__ = "members"\n    id = sa.Column(sa.Integer, primary_key=True)\n    team_id = sa.Column(sa.Integer, sa.ForeignKey("teams.id"), nullable=False)\n    boss_id = sa.Column(sa.Integer, sa.ForeignKey("members.id"))\nclass Fine(Base):',
    more=("INSERT INTO teams DEFAULT VALUES", "INSERT INTO members (team_id) SELECT max(id) FROM teams"),
)
edit(
    "drop_table_referred",
    'class Publisher(Base):\n    __tablename__ = "publishers"\n    id = sa.Column(sa.Integer, primary_key=True)\n    name = sa.Column(sa.String(80), nullable=False)\n    city = sa.Column(sa.String(40))\n    street = sa.Column(sa.String(80))\n    rating = sa.Column(sa.Numeric(10, 2))\n    books = relationship("Book", back_populates="publisher", cascade="all, delete-orphan")\n',
    "",
    'sa.Column(sa.Integer, sa.ForeignKey("publishers.id", ondelete="CASCADE"), index=True)',
    "sa.Column(sa.Integer)",
    '    publisher = relationship("Publisher", back_populates="books")\n',
    "",
    code=("INSERT INTO publishers (name, city, street, rating) VALUES ('PN', 'C', 'S', 1.25)", "SELECT 1"),
    lost=("publishers",),
)
edit(
    "drop_table_and_column",
    'class Publisher(Base):\n    __tablename__ = "publishers"\n    id = sa.Column(sa.Integer, primary_key=True)\n    name = sa.Column(sa.String(80), nullable=False)\n    city = sa.Column(sa.String(40))\n    street = sa.Column(sa.String(80))\n    rating = sa.Column(sa.Numeric(10, 2))\n    books = relationship("Book", back_populates="publisher", cascade="all, delete-orphan")\n',
    "",
    '    publisher_id = sa.Column(sa.Integer, sa.ForeignKey("publishers.id", ondelete="CASCADE"), index=True)\n',
    "",
    '    publisher = relationship("Publisher", back_populates="books")\n',
    "",
    code=(
        "INSERT INTO publishers (name, city, street, rating) VALUES ('PN', 'C', 'S', 1.25)",
        "SELECT 1",
        "publisher_id, editor_id",
        "editor_id",
        "'en', 1, 2",
        "'en', 2",
    ),
    lost=("publishers", "books.publisher_id"),
)
edit(
    "schema_move",
    'class Fine(Base):\n    __tablename__ = "fines"\n    __table_args__ = {"schema": "Desk"}',
    'class Fine(Base):\n    __tablename__ = "fines"\n    __table_args__ = {"schema": "till"}',
    code=('"Desk".fines', "till.fines"),
    lost=("Desk.fines",),
)
edit(
    "schema_move_renamed",
    'class Fine(Base):\n    __tablename__ = "fines"\n    __table_args__ = {"schema": "Desk"}',
    'class Fine(Base):\n    __tablename__ = "fines"\n    __table_args__ = {"schema": "till"}',
    renames=("Desk.fines:till.fines",),
    code=('"Desk".fines', "till.fines"),
)
edit(
    "check_changed",
    '"pages > 0"',
    '"pages > 0 AND pages < 100000"',
)
edit(
    "check_dropped_and_added",
    'sa.CheckConstraint("pages > 0", name="ck_books_pages")',
    'sa.CheckConstraint("price >= 0", name="ck_books_price")',
)
edit(
    "check_unnamed",
    'sa.CheckConstraint("pages > 0", name="ck_books_pages"),',
    'sa.CheckConstraint("pages > 0", name="ck_books_pages"), sa.CheckConstraint("price >= 0"),',
)
edit(
    "index_renamed",
    '"ix_books_title_lower"',
    '"ix_lower_titles"',
)
edit(
    "index_changed",
    'sa.Index("ix_books_title_lower", sa.func.lower(title))',
    'sa.Index("ix_books_title_lower", sa.func.lower(title).desc().nulls_last(), "isbn", postgresql_where=sa.text("active"), postgresql_include=["pages"], postgresql_with={"fillfactor": 70})',
)
edit(
    "naming_convention_later",
    "class Base(DeclarativeBase):\n    pass",
    'class Base(DeclarativeBase):\n    metadata = sa.MetaData(naming_convention={"ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s", "pk": "pk_%(table_name)s"})',
)
edit(
    "numeric_precision",
    "rating = sa.Column(sa.Numeric(10, 2))",
    "rating = sa.Column(sa.Numeric(12, 2))",
)
edit(
    "numeric_scale",
    'price = sa.Column(sa.Numeric(10, 2), nullable=False, server_default="0")',
    'price = sa.Column(sa.Numeric(12, 4), nullable=False, server_default="0")',
)
edit(
    "numeric_narrower",
    "rating = sa.Column(sa.Numeric(10, 2))",
    "rating = sa.Column(sa.Numeric(8, 1))",
    lost=("publishers.rating",),
)
edit(
    "default_literal_quotes",
    "note = sa.Column(sa.Text)",
    'note = sa.Column(sa.Text, server_default="it\'s 50% :off \\\\ \\"now\\"")',
)
edit(
    "default_now",
    "bought = sa.Column(sa.DateTime)",
    "bought = sa.Column(sa.DateTime, server_default=sa.func.now(), nullable=False)",
)
edit(
    "default_expr",
    "due = sa.Column(sa.Date)",
    'due = sa.Column(sa.Date, server_default=sa.text("(CURRENT_DATE + 14)"))',
)
edit(
    "default_func_chain",
    "bought = sa.Column(sa.DateTime)",
    'bought = sa.Column(sa.DateTime, server_default=sa.func.date_trunc("day", sa.func.now()))',
)
edit(
    "default_dropped",
    "server_default=sa.true(), nullable=False",
    "nullable=False",
    code=("pages, note)", "pages, note, active)", "'n')", "'n', true)"),
)
edit(
    "default_enum_changed",
    'server_default="draft"',
    'server_default="open"',
)
edit(
    "computed_added",
    "    pages = sa.Column(sa.Integer)\n",
    '    pages = sa.Column(sa.Integer)\n    spread = sa.Column(sa.Integer, sa.Computed("pages / 2"))\n',
)
edit(
    "comment_all",
    "note = sa.Column(sa.Text)",
    'note = sa.Column(sa.Text, comment="what\'s \\"noted\\" 100% :x")',
    'sa.Index("ix_books_title_lower", sa.func.lower(title)),',
    'sa.Index("ix_books_title_lower", sa.func.lower(title)), {"comment": "Books \\n & more"}',
)
edit(
    "collation",
    "title = sa.Column(sa.String(200), nullable=False)",
    'title = sa.Column(sa.String(200, collation="C"), nullable=False)',
)
edit(
    "text_to_int",
    "isbn = sa.Column(sa.String(20))",
    "isbn = sa.Column(sa.Integer)",
    code=("'N'", "N"),
)
edit(
    "int_to_text",
    "pages = sa.Column(sa.Integer)",
    "pages = sa.Column(sa.String(20))",
    'sa.CheckConstraint("pages > 0", name="ck_books_pages"),',
    "",
    code=("2.5, N, 'n'", "2.5, 'N', 'n'"),
)
edit(
    "bool_to_int",
    "active = sa.Column(sa.Boolean, server_default=sa.true(), nullable=False)",
    'active = sa.Column(sa.Integer, server_default="1", nullable=False)',
)
edit(
    "composite_pk",
    'class Fine(Base):\n    __tablename__ = "fines"\n    __table_args__ = {"schema": "Desk"}\n    id = sa.Column(sa.Integer, primary_key=True)\n    loan_id = sa.Column(sa.Integer, sa.ForeignKey("Desk.Loan Slips.Slip No", ondelete="SET NULL"))\n    cents = sa.Column(sa.Integer, nullable=False)',
    'class Fine(Base):\n    __tablename__ = "fines"\n    __table_args__ = {"schema": "Desk"}\n    id = sa.Column(sa.Integer, primary_key=True)\n    loan_id = sa.Column(sa.Integer, sa.ForeignKey("Desk.Loan Slips.Slip No", ondelete="SET NULL"))\n    cents = sa.Column(sa.Integer, nullable=False, primary_key=True)',
    code=("fines (loan_id, cents) VALUES (1, 100)", "fines (id, loan_id, cents) VALUES (N, 1, 100)"),
)
edit(
    "ondelete_changed",
    'ondelete="CASCADE"',
    'ondelete="RESTRICT", deferrable=True, initially="DEFERRED"',
)
edit(
    "fk_to_other_table",
    'sa.ForeignKey("publishers.id", ondelete="CASCADE")',
    'sa.ForeignKey("books.id", ondelete="CASCADE")',
    '    publisher = relationship("Publisher", back_populates="books")\n',
    "",
    '    books = relationship("Book", back_populates="publisher", cascade="all, delete-orphan")\n',
    "",
)
edit(
    "many_to_many",
    "class Fine(Base):",
    'book_authors = sa.Table("book_authors", metadata, sa.Column("book_id", sa.ForeignKey("books.id", ondelete="CASCADE"), primary_key=True), sa.Column("author_id", sa.ForeignKey("authors.id", ondelete="CASCADE"), primary_key=True), schema=None)\nclass Author(Base):\n    __tablename__ = "authors"\n    id = sa.Column(sa.Integer, primary_key=True)\n    name = sa.Column(sa.String, nullable=False, unique=True, index=True)\n    mood = sa.Column(sa.Enum("glad", "sad", name="mood", schema="Desk"))\nclass Fine(Base):',
    more=(
        "INSERT INTO authors (name, mood) VALUES ('AN', 'glad')",
        "INSERT INTO book_authors SELECT 1, max(id) FROM authors",
    ),
)
edit(
    "inheritance_joined",
    "class Fine(Base):",
    'class Atlas(Book):\n    __tablename__ = "atlases"\n    id = sa.Column(sa.ForeignKey("books.id"), primary_key=True)\n    maps = sa.Column(sa.SmallInteger, nullable=False)\nclass Fine(Base):',
    more=("INSERT INTO atlases (id, maps) SELECT max(id), 2 FROM books",),
)
edit(
    "add_column_fk_required",
    "    due = sa.Column(sa.Date)\n",
    '    due = sa.Column(sa.Date)\n    desk_id = sa.Column(sa.Integer, sa.ForeignKey("publishers.id"), nullable=False)\n',
    code=("due) VALUES (1, 'WN', '2026-02-01')", "due, desk_id) VALUES (1, 'WN', '2026-02-01', 1)"),
)
edit(
    "add_enum_required",
    "    due = sa.Column(sa.Date)\n",
    '    due = sa.Column(sa.Date)\n    state = sa.Column(sa.Enum("out", "back", name="State Of"), nullable=False)\n',
    code=("due) VALUES (1, 'WN', '2026-02-01')", "due, state) VALUES (1, 'WN', '2026-02-01', 'out')"),
)
edit(
    "schema_move_and_rename",
    'class Fine(Base):\n    __tablename__ = "fines"\n    __table_args__ = {"schema": "Desk"}',
    'class Fine(Base):\n    __tablename__ = "Dues"\n    __table_args__ = {"schema": "till"}',
    "cents = sa.Column(sa.Integer",
    "pence = sa.Column(sa.BigInteger",
    renames=("Desk.fines:till.Dues", "Desk.fines.cents:pence"),
    code=('"Desk".fines (loan_id, cents)', 'till."Dues" (loan_id, pence)'),
)
