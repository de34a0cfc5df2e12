"""Models of a small shop, and mutations of them: each a replacement in a copy of this source."""

from __future__ import annotations

import sqlalchemy as sa

SOURCE = """
import sqlalchemy as sa
from sqlalchemy import (
    ARRAY, BigInteger, Boolean, CheckConstraint, Column, Computed, Date, DateTime, Enum, Float, ForeignKey, Identity, Index,
    Integer, MetaData, Numeric, PrimaryKeyConstraint, Sequence, SmallInteger, String, Table, Text, UniqueConstraint, Uuid,
    func, text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

metadata = MetaData(
    schema="shop",
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)
KIND = ("person", "company", "club")

Table(
    "customer",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("email", String(200), nullable=False),
    Column("name", String(100)),
    Column("kind", Enum(*KIND, name="kind", native_enum=False, create_constraint=True, length=20), nullable=False),
    Column("mood", Enum("ok", "sad", name="mood"), nullable=True),
    Column("note", Text, comment="said on the phone: 100% true"),
    Column("nick", String(20), nullable=False),
    Column("score", Numeric(10, 2)),
    Column("tags", ARRAY(Text)),
    Column("numbers", ARRAY(Integer)),
    Column("doc", JSONB, nullable=False, server_default=text("'{}'")),
    Column("created_at", DateTime(True), nullable=False, server_default=func.now()),
    UniqueConstraint("email"),
    CheckConstraint("email = lower(email) AND email LIKE '%@%'", name="email_lower"),
    Index("ix_customer_name", "name"),
    Index("ix_customer_tags", "tags", postgresql_using="gin"),
    comment="Who buys.",
)
Table(
    "product",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("sku", String(40), nullable=False),
    Column("label", String(200), nullable=False),
    Column("price", Numeric(10, 2), nullable=False),
    Column("stock", Integer, nullable=False, server_default=text("0")),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("weight", Integer),
    Column("height", Integer),
    Column("volume", Integer, Computed("weight * height", persisted=True)),
    Column("legacy", String(20), nullable=False, server_default=text("'x'"), comment="of the old shop"),
    Column("maker", String(50)),
    UniqueConstraint("sku", "maker", name="uq_product_sku_maker"),
    CheckConstraint("price > 0", name="price"),
    CheckConstraint("legacy <> ''", name="legacy"),
    Index("ix_product_legacy", "legacy"),
    Index("ix_product_label", "label", postgresql_where=text("active")),
    Index("ix_product_stock", "stock"),
    Index("ix_product_height", "height", postgresql_include=["weight"]),
)
Table(
    "purchase",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("customer_id", Uuid, ForeignKey("shop.customer.id", ondelete="CASCADE"), nullable=False),
    Column("product_id", BigInteger, nullable=True),
    Column("quantity", SmallInteger, nullable=False, server_default=text("1")),
    Column("placed_at", DateTime(True), server_default=func.now()),
    Index("ix_purchase_customer_id_placed_at", "customer_id", "placed_at"),
)
Table(
    "coupon",
    metadata,
    Column("code", String(20), primary_key=True),
    Column("percent", Integer, nullable=False),
    Column("until", Date),
    CheckConstraint("percent BETWEEN 1 AND 100", name="percent"),
    Index("ix_coupon_until", "until"),
    comment="Less to pay.",
)
# more tables
"""

# Name -> replacements. What they lead to is said by the shapes below, and proved by running it.
MUTATIONS: dict[str, tuple[tuple[str, str], ...]] = {}


def mutation(name: str, *replacements: tuple[str, str]) -> None:
    """Register one mutation; every text that it replaces stands in the source exactly once."""
    for old, _ in replacements:
        assert SOURCE.count(old) == 1, (name, old, SOURCE.count(old))
    MUTATIONS[name] = replacements


def models(name: str | None = None) -> sa.MetaData:
    """Build the models, mutated or not."""
    source = SOURCE
    for old, new in (MUTATIONS | SAID)[name] if name else ():
        source = source.replace(old, new)
    return built(source)


def built(source: str) -> sa.MetaData:
    """Build the models of a source."""
    names: dict[str, sa.MetaData] = {}
    exec(source, names)  # noqa: S102  our own text
    return names["metadata"]


MAKER = '    Column("maker", String(50)),\n'
MORE = "# more tables\n"


def column(spelt: str, *constraints: str) -> tuple[str, str]:
    """Add a column to product."""
    return (MAKER, f"{MAKER}    Column({spelt}),\n" + "".join(f"    {one},\n" for one in constraints))


def table(spelt: str) -> tuple[str, str]:
    """Add a table."""
    return (MORE, spelt + "\n" + MORE)


mutation("column added", column('"color", String(20)'))
mutation("column added with a comment", column('"color", String(20), comment="it\'s 100%: a:b"'))
mutation(
    "column added with a constant default",
    column('"color", String(20), nullable=False, server_default="red"'),
)
mutation(
    "column added with a boolean default",
    column('"fragile", Boolean, nullable=False, server_default=text("false")'),
)
mutation(
    "column added with a stable default",
    column('"seen_at", DateTime(True), nullable=False, server_default=func.now()'),
)
mutation(
    "column added with a volatile default",
    column('"token", Uuid, nullable=False, server_default=text("gen_random_uuid()")'),
)
mutation(
    "column added, nullable, with a volatile default",
    column('"token", Uuid, server_default=text("gen_random_uuid()")'),
)
mutation("column added NOT NULL without default", column('"color", String(20), nullable=False'))
mutation(
    "column added NOT NULL, number",
    column('"shelf", Integer, nullable=False', 'CheckConstraint("shelf > 0", name="shelf")'),
)
mutation("column added NOT NULL, indexed", column('"shelf", Integer, nullable=False, index=True'))
mutation("column added with an identity", column('"number", BigInteger, Identity(start=100), nullable=False'))
mutation(
    "column added, serial",
    column('"number", Integer, Sequence("product_number_seq", metadata=metadata), nullable=True'),
)
mutation("column added, jsonb", column('"extra", JSONB, nullable=False, server_default=text("\'{}\'")'))
mutation("column added, array", column('"colors", ARRAY(Text)'))
mutation("column added, native enum", column('"state", Enum("new", "used", name="state")'))
mutation("column added, unique", column('"ean", String(13), unique=True'))
mutation(
    "column added, a foreign key",
    column('"buyer_id", Uuid, ForeignKey("shop.customer.id", ondelete="SET NULL")'),
)
mutation(
    "column added, checked", column('"color", String(20)', 'CheckConstraint("color <> \'\'", name="color")')
)
mutation(
    "column dropped",
    ('    Column("name", String(100)),\n', ""),
    ('    Index("ix_customer_name", "name"),\n', ""),
)
mutation(
    "column dropped, commented", ('    Column("note", Text, comment="said on the phone: 100% true"),\n', "")
)
mutation("column dropped, NOT NULL", ('    Column("nick", String(20), nullable=False),\n', ""))
mutation(
    "column dropped with its CHECK, default and index",
    (
        '    Column("legacy", String(20), nullable=False, server_default=text("\'x\'"), comment="of the old shop"),\n',
        "",
    ),
    ('    CheckConstraint("legacy <> \'\'", name="legacy"),\n', ""),
    ('    Index("ix_product_legacy", "legacy"),\n', ""),
)
mutation(
    "column dropped with a unique of two",
    (MAKER, ""),
    ('    UniqueConstraint("sku", "maker", name="uq_product_sku_maker"),\n', ""),
)
mutation(
    "table added",
    table(
        'Table("supplier", metadata, Column("id", Integer, Identity(), primary_key=True), Column("name", Text))'
    ),
)
mutation(
    "table added with everything",
    table(
        'Table("review", metadata, Column("id", Uuid, primary_key=True),'
        ' Column("customer_id", Uuid, ForeignKey("shop.customer.id"), nullable=False, index=True),'
        ' Column("stars", SmallInteger, CheckConstraint("stars BETWEEN 1 AND 5", name="stars"), comment="1 to 5"),'
        ' Column("kind", Enum("a", "b", name="kind", native_enum=False, create_constraint=True)),'
        ' Column("likes", Integer, Computed("stars * 2", persisted=True)),'
        ' UniqueConstraint("customer_id", "stars", deferrable=True, initially="DEFERRED"),'
        ' Index("ix_review_open", "stars", postgresql_where=text("likes > 2")), comment="What they think.")'
    ),
)
mutation(
    "table added with a serial key",
    table('Table("page", metadata, Column("id", Integer, primary_key=True), Column("text", Text))'),
)
mutation(
    "tables added that refer to each other",
    table(
        'Table("a", metadata, Column("id", Integer, primary_key=True), Column("b_id", ForeignKey("shop.b.id", use_alter=True)))\n'
        'Table("b", metadata, Column("id", Integer, primary_key=True), Column("a_id", ForeignKey("shop.a.id")))'
    ),
)
COUPON = SOURCE[SOURCE.index('Table(\n    "coupon"') : SOURCE.index(MORE)]
mutation("table dropped", (COUPON, ""))
mutation(
    "NULL to NOT NULL",
    (
        'Column("placed_at", DateTime(True), server',
        'Column("placed_at", DateTime(True), nullable=False, server',
    ),
)
mutation("NOT NULL to NULL", ('Column("nick", String(20), nullable=False)', 'Column("nick", String(20))'))
mutation(
    "default added",
    (
        'Column("percent", Integer, nullable=False)',
        'Column("percent", Integer, nullable=False, server_default="5")',
    ),
)
mutation(
    "default changed",
    (
        'Column("quantity", SmallInteger, nullable=False, server_default=text("1"))',
        'Column("quantity", SmallInteger, nullable=False, server_default=text("2"))',
    ),
)
mutation("default dropped", ('nullable=False, server_default=text("0")', "nullable=False"))
mutation(
    "default of another kind",
    (
        'Column("created_at", DateTime(True), nullable=False, server_default=func.now())',
        'Column("created_at", DateTime(True), nullable=False, server_default=func.clock_timestamp())',
    ),
)
mutation(
    "varchar widened",
    ('Column("label", String(200), nullable=False)', 'Column("label", String(300), nullable=False)'),
)
mutation("varchar widened under a CHECK", ('Column("email", String(200)', 'Column("email", String(320)'))
mutation("varchar without a length", ('Column("name", String(100))', 'Column("name", String)'))
mutation("varchar to text", ('Column("name", String(100))', 'Column("name", Text)'))
mutation("varchar narrowed", ('Column("name", String(100))', 'Column("name", String(90))'))
mutation("text to varchar", ('Column("note", Text, comment', 'Column("note", String(5000), comment'))
mutation("integer to bigint", ('Column("stock", Integer', 'Column("stock", BigInteger'))
mutation("integer to bigint under a CHECK", ('Column("percent", Integer', 'Column("percent", BigInteger'))
mutation(
    "integer to bigint with an INCLUDE", ('Column("quantity", SmallInteger', 'Column("quantity", Integer')
)
mutation("numeric of more digits", ('Column("score", Numeric(10, 2))', 'Column("score", Numeric(12, 2))'))
mutation("numeric of another scale", ('Column("price", Numeric(10, 2)', 'Column("price", Numeric(12, 4)'))
mutation("numeric to double precision", ('Column("score", Numeric(10, 2))', 'Column("score", Float)'))
mutation(
    "array of another type", ('Column("numbers", ARRAY(Integer))', 'Column("numbers", ARRAY(BigInteger))')
)
mutation(
    "jsonb to json",
    (
        'Column("doc", JSONB, nullable=False, server_default=text("\'{}\'"))',
        'Column("doc", JSON, nullable=False, server_default=text("\'{}\'"))',
    ),
)
mutation("collation", ('Column("maker", String(50))', 'Column("maker", String(50, collation="C"))'))
mutation(
    "CHECK added",
    (
        'CheckConstraint("price > 0", name="price")',
        'CheckConstraint("price > 0", name="price"), CheckConstraint("stock >= 0", name="stock")',
    ),
)
mutation(
    "CHECK added with signs",
    (
        'CheckConstraint("price > 0", name="price")',
        'CheckConstraint("price > 0", name="price"), CheckConstraint(text("label NOT LIKE \'%\\\\\\\\:x%\'"), name="signs")',
    ),
)
mutation("CHECK dropped", ('    CheckConstraint("price > 0", name="price"),\n', ""))
mutation(
    "CHECK changed",
    (
        'CheckConstraint("price > 0", name="price")',
        'CheckConstraint("price > 0 AND price < 1e9", name="price")',
    ),
)
mutation(
    "CHECK renamed",
    ('CheckConstraint("price > 0", name="price")', 'CheckConstraint("price > 0", name="cost")'),
)
mutation(
    "enum value added",
    ('KIND = ("person", "company", "club")', 'KIND = ("person", "company", "club", "state")'),
)
mutation(
    "enum value removed",
    ('KIND = ("person", "company", "club")', 'KIND = ("person", "company", "club", "x")'),
)
mutation(
    "native enum value added", ('Enum("ok", "sad", name="mood")', 'Enum("ok", "glad", "sad", name="mood")')
)
mutation(
    "unique added",
    (
        'CheckConstraint("price > 0", name="price")',
        'CheckConstraint("price > 0", name="price"), UniqueConstraint("label")',
    ),
)
mutation("unique dropped", ('    UniqueConstraint("sku", "maker", name="uq_product_sku_maker"),\n', ""))
mutation(
    "unique of other columns",
    ('UniqueConstraint("sku", "maker", name', 'UniqueConstraint("sku", "label", name'),
)
mutation("unique renamed", ('name="uq_product_sku_maker"', 'name="uq_sku"'))
mutation(
    "unique deferrable",
    ('UniqueConstraint("email")', 'UniqueConstraint("email", deferrable=True, initially="DEFERRED")'),
)
mutation(
    "unique with NULLS NOT DISTINCT",
    ('name="uq_product_sku_maker"', 'name="uq_product_sku_maker", postgresql_nulls_not_distinct=True'),
)
mutation(
    "foreign key added",
    (
        'Column("product_id", BigInteger, nullable=True)',
        'Column("product_id", BigInteger, ForeignKey("shop.product.id"), nullable=True)',
    ),
)
mutation("foreign key dropped", (', ForeignKey("shop.customer.id", ondelete="CASCADE")', ""))
mutation("foreign key acts otherwise", ('ondelete="CASCADE"', 'ondelete="RESTRICT"'))
mutation("foreign key acts on update", ('ondelete="CASCADE"', 'ondelete="CASCADE", onupdate="CASCADE"'))
mutation(
    "foreign key deferrable",
    ('ondelete="CASCADE"', 'ondelete="CASCADE", deferrable=True, initially="DEFERRED"'),
)
mutation("foreign key renamed", ('ondelete="CASCADE"', 'ondelete="CASCADE", name="fk_buyer"'))
mutation("index added", (MAKER, '    Column("maker", String(50), index=True),\n'))
mutation("index dropped", ('    Index("ix_product_stock", "stock"),\n', ""))
mutation("index renamed", ('"ix_product_stock"', '"ix_stock"'))
mutation(
    "index of other columns",
    ('Index("ix_product_stock", "stock")', 'Index("ix_product_stock", "stock", "sku")'),
)
mutation(
    "index descending", ('"customer_id", "placed_at")', '"customer_id", text("placed_at DESC NULLS LAST"))')
)
mutation(
    "index predicate added",
    (
        'Index("ix_product_stock", "stock")',
        'Index("ix_product_stock", "stock", postgresql_where=text("stock > 0"))',
    ),
)
mutation(
    "index predicate changed", ('postgresql_where=text("active")', 'postgresql_where=text("NOT active")')
)
mutation("index predicate dropped", (', postgresql_where=text("active")', ""))
mutation("index INCLUDE changed", ('postgresql_include=["weight"]', 'postgresql_include=["stock"]'))
mutation(
    "index of another method",
    ('Index("ix_product_stock", "stock")', 'Index("ix_product_stock", "stock", postgresql_using="hash")'),
)
mutation(
    "index operator class",
    (
        'Index("ix_customer_name", "name")',
        'Index("ix_customer_name", "name", postgresql_ops={"name": "varchar_pattern_ops"})',
    ),
)
mutation(
    "index made unique",
    ('Index("ix_product_stock", "stock")', 'Index("ix_product_stock", "id", "stock", unique=True)'),
)
mutation(
    "index of an expression",
    ('Index("ix_customer_name", "name")', 'Index("ix_customer_name", text("lower(name)"))'),
)
mutation(
    "index with a fill factor",
    (
        'Index("ix_product_stock", "stock")',
        'Index("ix_product_stock", "stock", postgresql_with={"fillfactor": 70})',
    ),
)
mutation("table comment changed", ('comment="Who buys."', "comment=\"Who buys, and what: 'all'.\""))
mutation("table comment dropped", ('    comment="Less to pay.",\n', ""))
mutation("column comment changed", ('comment="of the old shop"', 'comment="of the %s"'))
mutation(
    "constraint comment added",
    (
        'CheckConstraint("price > 0", name="price")',
        'CheckConstraint("price > 0", name="price", comment="nothing is free")',
    ),
)
mutation("identity by default", ("Identity(always=True)", "Identity(always=False)"))
mutation(
    "identity with other parameters",
    ("Identity(always=True)", "Identity(always=True, increment=5, cycle=True)"),
)
mutation(
    "identity dropped",
    (
        'Column("id", BigInteger, Identity(), primary_key=True)',
        'Column("id", BigInteger, primary_key=True, autoincrement=False)',
    ),
)
mutation("sequence added", (MORE, 'Sequence("ticket", metadata=metadata, start=10, increment=2)\n'))
mutation("generated column made plain", (', Computed("weight * height", persisted=True)', ""))
mutation(
    "primary key renamed",
    (
        'Column("code", String(20), primary_key=True)',
        'Column("code", String(20)), PrimaryKeyConstraint("code", name="pk_of_coupons")',
    ),
)
mutation(
    "primary key of other columns",
    (
        'Column("code", String(20), primary_key=True)',
        'Column("code", String(20), primary_key=True), Column("shop", Integer, primary_key=True, server_default="1", autoincrement=False)',
    ),
)
mutation(
    "many at once",
    ('Column("email", String(200)', 'Column("email", String(320)'),
    ('KIND = ("person", "company", "club")', 'KIND = ("person", "company", "club", "state")'),
    (
        'Column("placed_at", DateTime(True), server',
        'Column("placed_at", DateTime(True), nullable=False, server',
    ),
    (
        'Index("ix_product_stock", "stock")',
        'Index("ix_product_stock", "stock", postgresql_where=text("stock > 0"))',
    ),
    ('    Column("nick", String(20), nullable=False),\n', ""),
    column('"color", String(20), nullable=False'),
    (
        'Column("product_id", BigInteger, nullable=True)',
        'Column("product_id", BigInteger, ForeignKey("shop.product.id"), nullable=True)',
    ),
    table(
        'Table("supplier", metadata, Column("id", Integer, Identity(), primary_key=True), Column("name", Text))'
    ),
)
# What leads to a rewrite in any form: written, and said.
SAID = {
    "generated column added": (column('"double", Integer, Computed("stock * 2", persisted=True)'),),
    "generated column of another expression": (('Computed("weight * height"', 'Computed("weight + height"'),),
    "plain column made generated": (
        (
            'Column("percent", Integer, nullable=False)',
            'Column("percent", Integer, Computed("1 + length(code)", persisted=True), nullable=False)',
        ),
    ),
}
