"""Kinds of DDL with what PostgreSQL's manual says each locks, rewrites and scans.

Where to read it: ALTER TABLE ("an ACCESS EXCLUSIVE lock is acquired unless explicitly noted", and its Notes on
rewrites and scans), Explicit Locking (the modes and who takes them), CREATE INDEX, REINDEX, CREATE TRIGGER,
REFRESH MATERIALIZED VIEW, VACUUM, CLUSTER, TRUNCATE, and Table Partitioning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

AS, RS, RX = "ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE"
SUE, SH, SRX = "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE"
EX, AX = "EXCLUSIVE", "ACCESS EXCLUSIVE"

SETUP = """
CREATE SCHEMA s;
CREATE TYPE s.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN s.positive AS int;
CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE s.p (id int PRIMARY KEY);
INSERT INTO s.p SELECT generate_series(1, 2000);
CREATE TABLE s.t (
    id int PRIMARY KEY, a int NOT NULL, n int, checked int CONSTRAINT proof CHECK (checked IS NOT NULL), b text,
    v varchar(50), amount numeric(10, 2), ts timestamptz, doc jsonb, net cidr, mood s.mood, pos s.positive,
    parent_id int, gen int GENERATED ALWAYS AS (1) STORED, auto int GENERATED ALWAYS AS IDENTITY, u int NOT NULL,
    span int4range, CONSTRAINT positive CHECK (a > 0)
);
INSERT INTO s.t (id, a, n, checked, b, v, amount, ts, doc, net, mood, pos, parent_id, u, span)
SELECT n, n, n, n, 'x', 'y', n, now(), '{}', '10.0.0.0/8', 'ok', n, n, n, int4range(n, n + 1)
FROM generate_series(1, 2000) n;
CREATE INDEX ix_a ON s.t (a);
CREATE INDEX ix_v ON s.t (v);
CREATE INDEX ix_b ON s.t (b);
CREATE UNIQUE INDEX ux_u ON s.t (u);
ALTER TABLE s.t ADD CONSTRAINT fk FOREIGN KEY (parent_id) REFERENCES s.p;
ALTER TABLE s.t ADD CONSTRAINT late CHECK (n > 0) NOT VALID;
ALTER TABLE s.t ADD CONSTRAINT fk_late FOREIGN KEY (n) REFERENCES s.p NOT VALID;
CREATE TRIGGER tr BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.f();
CREATE TABLE s.child (LIKE s.t INCLUDING CONSTRAINTS INCLUDING GENERATED);
CREATE TABLE s.elder (id int);
CREATE TABLE s.heir () INHERITS (s.elder);
CREATE UNLOGGED TABLE s.unlogged AS SELECT generate_series(1, 2000) AS id;
CREATE VIEW s.view AS SELECT id FROM s.t;
CREATE MATERIALIZED VIEW s.mat AS SELECT id FROM s.t;
CREATE UNIQUE INDEX ON s.mat (id);
CREATE SEQUENCE s.seq;
CREATE TABLE s.part (id int NOT NULL, x int) PARTITION BY RANGE (id);
CREATE TABLE s.part_1 PARTITION OF s.part FOR VALUES FROM (1) TO (3000);
CREATE TABLE s.part_2 PARTITION OF s.part FOR VALUES FROM (3000) TO (6000);
INSERT INTO s.part SELECT n, n FROM generate_series(1, 5500) n;
CREATE TABLE s.lone (id int NOT NULL, x int);
INSERT INTO s.lone SELECT n, n FROM generate_series(6000, 8000) n;
CREATE TABLE s.proved (LIKE s.lone, CHECK (id >= 6000 AND id < 9000));
INSERT INTO s.proved SELECT * FROM s.lone;
CREATE TABLE s.whole (id int NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE s.rest PARTITION OF s.whole DEFAULT;
INSERT INTO s.rest SELECT generate_series(1, 2000);
ANALYZE;
"""


@dataclass(frozen=True)
class Kind:
    """One statement, and what the manual says of it; `since` is the first version that knows it."""

    name: str
    sql: str
    locks: dict[str, str] = field(default_factory=dict)
    rewrites: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()
    outside: bool = False
    before: str = ""
    since: int = 14
    # Versions that differ from the rest: (from version on, what differs).
    later: tuple[int, dict[str, str]] | None = None

    def locks_on(self, major: int) -> dict[str, str]:
        """Tell the locks on one version."""
        return self.later[1] if self.later and major >= self.later[0] else self.locks


def alter(name: str, rest: str, mode: str = AX, **more: object) -> Kind:
    """Make a kind of ALTER TABLE s.t."""
    locks: dict[str, str] = {"s.t": mode, **more.pop("also", {})}  # type: ignore[dict-item]
    return Kind(name, f"ALTER TABLE s.t {rest}", locks, **more)  # type: ignore[arg-type]


T = ("s.t",)

KINDS = [
    # Columns
    alter("add column, nullable", "ADD COLUMN c int"),
    alter("add column, constant default", "ADD COLUMN c int DEFAULT 1"),
    alter("add column, not null, constant default", "ADD COLUMN c int NOT NULL DEFAULT 1"),
    alter("add column, stable default", "ADD COLUMN c timestamptz DEFAULT now()"),
    alter("add column, volatile default", "ADD COLUMN c uuid DEFAULT gen_random_uuid()", rewrites=T, scans=T),
    alter("add column, stored expression", "ADD COLUMN c int GENERATED ALWAYS AS (a + 1) STORED", rewrites=T, scans=T),
    alter("add column, virtual expression", "ADD COLUMN c int GENERATED ALWAYS AS (a + 1) VIRTUAL", since=18),
    alter("add column, identity", "ADD COLUMN c int GENERATED ALWAYS AS IDENTITY", rewrites=T, scans=T),
    alter("add column, serial", "ADD COLUMN c serial", rewrites=T, scans=T),
    alter("add column, check", "ADD COLUMN c int DEFAULT 1 CHECK (c > 0)", scans=T),
    alter("add column, unique", "ADD COLUMN c int UNIQUE", scans=T),
    alter("add column, foreign key", "ADD COLUMN c int REFERENCES s.p", also={"s.p": SRX}),
    alter("add column, domain without constraint", "ADD COLUMN c s.positive"),
    alter("drop column", "DROP COLUMN b"),
    alter("drop column, indexed", "DROP COLUMN a CASCADE"),
    alter("rename column", "RENAME COLUMN b TO c"),
    alter("set default", "ALTER COLUMN n SET DEFAULT 1"),
    alter("drop default", "ALTER COLUMN n DROP DEFAULT"),
    alter("set not null", "ALTER COLUMN n SET NOT NULL", scans=T),
    alter("set not null, proved by a check", "ALTER COLUMN checked SET NOT NULL"),
    alter("drop not null", "ALTER COLUMN a DROP NOT NULL"),
    alter("not null, not valid", "ADD CONSTRAINT present NOT NULL n NOT VALID", since=18),
    alter("validate not null", "VALIDATE CONSTRAINT present", SUE, scans=T, since=18,
          before="ALTER TABLE s.t ADD CONSTRAINT present NOT NULL n NOT VALID"),
    alter("set statistics", "ALTER COLUMN b SET STATISTICS 500", SUE),
    alter("set attribute option", "ALTER COLUMN b SET (n_distinct = 5)", SUE),
    alter("set storage", "ALTER COLUMN b SET STORAGE EXTERNAL"),
    alter("set compression", "ALTER COLUMN b SET COMPRESSION pglz"),
    alter("add identity", "ALTER COLUMN a ADD GENERATED BY DEFAULT AS IDENTITY"),
    alter("drop identity", "ALTER COLUMN auto DROP IDENTITY", also={"sequence s.t_auto_seq": AX}),
    alter("drop expression", "ALTER COLUMN gen DROP EXPRESSION"),
    alter("set expression", "ALTER COLUMN gen SET EXPRESSION AS (2)", since=17, rewrites=T, scans=T),
    # Types
    alter("type int to bigint", "ALTER COLUMN u TYPE bigint", rewrites=T, scans=T),
    # The key is dropped and made again, which takes what dropping takes.
    alter("type of a foreign key's column", "ALTER COLUMN n TYPE bigint", rewrites=T, scans=T, also={"s.p": AX}),
    alter("type varchar longer", "ALTER COLUMN v TYPE varchar(100)"),
    alter("type varchar without length", "ALTER COLUMN v TYPE varchar"),
    alter("type varchar to text", "ALTER COLUMN v TYPE text"),
    alter("type varchar shorter", "ALTER COLUMN v TYPE varchar(20)", rewrites=T, scans=T),
    alter("type text to varchar", "ALTER COLUMN b TYPE varchar(100)", rewrites=T, scans=T),
    alter("type numeric wider", "ALTER COLUMN amount TYPE numeric(12, 2)"),
    alter("type numeric scale", "ALTER COLUMN amount TYPE numeric(12, 4)", rewrites=T, scans=T),
    alter("type timestamptz precision", "ALTER COLUMN ts TYPE timestamptz(0)", rewrites=T, scans=T),
    alter("type jsonb to json", "ALTER COLUMN doc TYPE json", rewrites=T, scans=T),
    alter("type cidr to inet", "ALTER COLUMN net TYPE inet"),
    alter("type enum to text", "ALTER COLUMN mood TYPE text", rewrites=T, scans=T),
    alter("type with using", "ALTER COLUMN b TYPE int USING length(b)", rewrites=T, scans=T),
    alter("type collation, indexed", 'ALTER COLUMN b TYPE text COLLATE "C"', scans=T),
    # Constraints
    alter("add check", "ADD CHECK (n > 0)", scans=T),
    alter("add check, not valid", "ADD CHECK (n > 0) NOT VALID"),
    alter("validate check", "VALIDATE CONSTRAINT late", SUE, scans=T),
    alter("add foreign key", "ADD FOREIGN KEY (n) REFERENCES s.p", SRX, also={"s.p": SRX}, scans=("s.p", "s.t")),
    alter("add foreign key, not valid", "ADD FOREIGN KEY (n) REFERENCES s.p NOT VALID", SRX, also={"s.p": SRX}),
    alter("add foreign key, not enforced", "ADD FOREIGN KEY (n) REFERENCES s.p NOT ENFORCED", SRX, also={"s.p": SRX},
          since=18),
    alter("validate foreign key", "VALIDATE CONSTRAINT fk_late", SUE, also={"s.p": RS}, scans=("s.p", "s.t")),
    alter("add unique", "ADD UNIQUE (n)", scans=T),
    alter("add unique, nulls not distinct", "ADD UNIQUE NULLS NOT DISTINCT (n)", scans=T, since=15),
    alter("add unique using index", "ADD CONSTRAINT uq UNIQUE USING INDEX ux_u"),
    alter("add primary key using index", "ADD PRIMARY KEY USING INDEX ux_u",
          before="ALTER TABLE s.t DROP CONSTRAINT t_pkey"),
    alter("add primary key", "ADD PRIMARY KEY (u)", scans=T, before="ALTER TABLE s.t DROP CONSTRAINT t_pkey"),
    alter("add exclusion", "ADD EXCLUDE USING gist (span WITH &&)", scans=T),
    alter("drop check", "DROP CONSTRAINT positive"),
    alter("drop foreign key", "DROP CONSTRAINT fk", also={"s.p": AX}),
    alter("drop primary key", "DROP CONSTRAINT t_pkey"),
    alter("rename constraint", "RENAME CONSTRAINT positive TO above_zero"),
    # Tables
    alter("rename table", "RENAME TO other"),
    alter("set schema", "SET SCHEMA public", also={"sequence s.t_auto_seq": AX}),
    alter("owner", "OWNER TO CURRENT_USER"),
    alter("set storage parameter", "SET (fillfactor = 90)", SUE),
    alter("reset storage parameter", "RESET (fillfactor)", SUE),
    alter("cluster on", "CLUSTER ON ix_a", SUE),
    alter("set without cluster", "SET WITHOUT CLUSTER", SUE),
    alter("disable trigger", "DISABLE TRIGGER tr", SRX),
    alter("enable trigger", "ENABLE ALWAYS TRIGGER tr", SRX),
    alter("enable row security", "ENABLE ROW LEVEL SECURITY"),
    alter("force row security", "FORCE ROW LEVEL SECURITY"),
    alter("replica identity", "REPLICA IDENTITY FULL"),
    Kind("inherit", "ALTER TABLE s.child INHERIT s.t", {"s.child": AX, "s.t": SUE}),
    Kind("no inherit", "ALTER TABLE s.heir NO INHERIT s.elder", {"s.heir": AX, "s.elder": AS}),
    Kind("set logged", "ALTER TABLE s.unlogged SET LOGGED", {"s.unlogged": AX}, ("s.unlogged",), ("s.unlogged",)),
    Kind("set unlogged", "ALTER TABLE s.lone SET UNLOGGED", {"s.lone": AX}, ("s.lone",), ("s.lone",)),
    Kind("create table", "CREATE TABLE s.new (id int)"),
    Kind("create table with foreign key", "CREATE TABLE s.new (id int REFERENCES s.p)", {"s.p": SRX}),
    Kind("create table like", "CREATE TABLE s.new (LIKE s.t)", {"s.t": AS}),
    Kind("create table as", "CREATE TABLE s.new AS SELECT a FROM s.t", {"s.t": AS}, scans=T),
    Kind("drop table", "DROP TABLE s.lone", {"s.lone": AX}),
    Kind("drop table with foreign key", "DROP TABLE s.t CASCADE",
         {"s.t": AX, "s.p": AX, "view s.view": AX, "materialized view s.mat": AX, "sequence s.t_auto_seq": AX}),
    Kind("truncate", "TRUNCATE s.t", {"s.t": AX}),
    Kind("lock table", "LOCK TABLE s.t IN SHARE MODE", {"s.t": SH}),
    Kind("comment on table", "COMMENT ON TABLE s.t IS 'x'", {"s.t": SUE}),
    Kind("comment on column", "COMMENT ON COLUMN s.t.a IS 'x'", {"s.t": SUE}),
    Kind("create statistics", "CREATE STATISTICS s.st ON a, n FROM s.t", {"s.t": SUE}),
    # Indexes
    Kind("create index", "CREATE INDEX ON s.t (n)", {"s.t": SH}, scans=T),
    Kind("create unique index", "CREATE UNIQUE INDEX ON s.t (n)", {"s.t": SH}, scans=T),
    Kind("create partial index", "CREATE INDEX ON s.t (n) WHERE n > 5", {"s.t": SH}, scans=T),
    Kind("create index on expression", "CREATE INDEX ON s.t (lower(b))", {"s.t": SH}, scans=T),
    Kind("create covering index", "CREATE INDEX ON s.t (n) INCLUDE (a)", {"s.t": SH}, scans=T),
    Kind("create gin index", "CREATE INDEX ON s.t USING gin (doc)", {"s.t": SH}, scans=T),
    Kind("create gist index", "CREATE INDEX ON s.t USING gist (span)", {"s.t": SH}, scans=T),
    Kind("create brin index", "CREATE INDEX ON s.t USING brin (a)", {"s.t": SH}, scans=T),
    Kind("create hash index", "CREATE INDEX ON s.t USING hash (a)", {"s.t": SH}, scans=T),
    Kind("create index concurrently", "CREATE INDEX CONCURRENTLY ON s.t (n)", {"s.t": SUE}, scans=T, outside=True),
    Kind("drop index", "DROP INDEX s.ix_a", {"s.t": AX}),
    Kind("drop index concurrently", "DROP INDEX CONCURRENTLY s.ix_a", {"s.t": SUE}, outside=True),
    Kind("reindex index", "REINDEX INDEX s.ix_a", {"index s.ix_a": AX, "s.t": SH}, ("index s.ix_a",), T),
    Kind("reindex index concurrently", "REINDEX INDEX CONCURRENTLY s.ix_a", {"s.t": SUE}, ("index s.ix_a",), T,
         outside=True),
    Kind("rename index", "ALTER INDEX s.ix_a RENAME TO ix_c", {"index s.ix_a": SUE}),
    Kind("set index parameter", "ALTER INDEX s.ix_a SET (fillfactor = 80)", {"index s.ix_a": SUE}),
    Kind("create index on partitioned", "CREATE INDEX ON s.part (x)",
         {"s.part": SH, "s.part_1": SH, "s.part_2": SH}, scans=("s.part_1", "s.part_2")),
    Kind("create index on only", "CREATE INDEX ON ONLY s.part (x)", {"s.part": SH}),
    # Views, triggers, rules, policies
    Kind("create view", "CREATE VIEW s.other AS SELECT a FROM s.t", {"s.t": AS}),
    Kind("replace view", "CREATE OR REPLACE VIEW s.view AS SELECT id, a FROM s.t", {"view s.view": AX, "s.t": AS}),
    Kind("drop view", "DROP VIEW s.view", {"view s.view": AX}),
    Kind("rename view", "ALTER VIEW s.view RENAME TO other", {"view s.view": AX}),
    Kind("create materialized view", "CREATE MATERIALIZED VIEW s.other AS SELECT a FROM s.t", {"s.t": AS}, scans=T),
    Kind("refresh materialized view", "REFRESH MATERIALIZED VIEW s.mat", {"materialized view s.mat": AX, "s.t": AS},
         ("materialized view s.mat",), ("materialized view s.mat", "s.t")),
    Kind("refresh materialized view concurrently", "REFRESH MATERIALIZED VIEW CONCURRENTLY s.mat",
         {"materialized view s.mat": EX, "s.t": AS}, scans=("materialized view s.mat", "s.t")),
    Kind("create trigger", "CREATE TRIGGER tt BEFORE UPDATE ON s.t FOR EACH ROW EXECUTE FUNCTION s.f()", {"s.t": SRX}),
    Kind("drop trigger", "DROP TRIGGER tr ON s.t", {"s.t": AX}),
    Kind("create rule", "CREATE RULE r AS ON DELETE TO s.t DO INSTEAD NOTHING", {"s.t": AX}),
    Kind("create policy", "CREATE POLICY po ON s.t", {"s.t": AX}),
    Kind("create function", "CREATE FUNCTION s.g() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    Kind("grant", "GRANT SELECT ON s.t TO PUBLIC", later=(18, {"s.t": AS})),
    # Types, domains, sequences
    Kind("create enum", "CREATE TYPE s.hue AS ENUM ('red')"),
    Kind("add enum value", "ALTER TYPE s.mood ADD VALUE 'great'"),
    Kind("rename enum value", "ALTER TYPE s.mood RENAME VALUE 'ok' TO 'fine'"),
    Kind("add domain check", "ALTER DOMAIN s.positive ADD CONSTRAINT c CHECK (VALUE > 0)", {"s.t": SH, "s.child": SH},
         scans=T),
    Kind("add domain check, not valid", "ALTER DOMAIN s.positive ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID"),
    Kind("alter sequence", "ALTER SEQUENCE s.seq INCREMENT 2", {"sequence s.seq": SRX}),
    # Partitions
    Kind("create partition", "CREATE TABLE s.part_3 PARTITION OF s.part FOR VALUES FROM (6000) TO (9000)", {"s.part": AX}),
    Kind("attach partition", "ALTER TABLE s.part ATTACH PARTITION s.lone FOR VALUES FROM (6000) TO (9000)",
         {"s.part": SUE, "s.lone": AX}, scans=("s.lone",)),
    Kind("attach partition, proved by a check",
         "ALTER TABLE s.part ATTACH PARTITION s.proved FOR VALUES FROM (6000) TO (9000)", {"s.part": SUE, "s.proved": AX}),
    Kind("create partition beside a default", "CREATE TABLE s.first PARTITION OF s.whole FOR VALUES FROM (5000) TO (6000)",
         {"s.whole": AX, "s.rest": AX}, scans=("s.rest",)),
    Kind("detach partition", "ALTER TABLE s.part DETACH PARTITION s.part_1", {"s.part": AX, "s.part_1": AX}),
    Kind("detach partition concurrently", "ALTER TABLE s.part DETACH PARTITION s.part_1 CONCURRENTLY",
         {"s.part": SUE, "s.part_1": AX}, outside=True),
    Kind("drop partition", "DROP TABLE s.part_1", {"s.part": AX, "s.part_1": AX}),
    # Maintenance
    Kind("vacuum", "VACUUM s.t", {"s.t": SUE}, outside=True),
    Kind("vacuum full", "VACUUM FULL s.t", {"s.t": AX}, T, T, outside=True),
    Kind("analyze", "ANALYZE s.t", {"s.t": SUE}),
    Kind("cluster", "CLUSTER s.t USING ix_a", {"s.t": AX}, T, T),
    Kind("reindex table", "REINDEX TABLE s.lone", {"s.lone": SH}),
    # Data
    Kind("insert", "INSERT INTO s.lone VALUES (1, 1)", {"s.lone": RX}),
    Kind("insert select", "INSERT INTO s.lone SELECT id, id FROM s.p", {"s.lone": RX, "s.p": AS}, scans=("s.p",)),
    Kind("update every row", "UPDATE s.lone SET x = 0", {"s.lone": RX}, scans=("s.lone",)),
    Kind("update by key", "UPDATE s.t SET b = 'z' WHERE id = 5", {"s.t": RX}),
    Kind("delete every row", "DELETE FROM s.lone", {"s.lone": RX}, scans=("s.lone",)),
    Kind("merge", "MERGE INTO s.lone USING s.p ON lone.id = p.id WHEN NOT MATCHED THEN INSERT VALUES (p.id, 1)",
         {"s.lone": RX, "s.p": AS}, scans=("s.lone", "s.p"), since=15),
    Kind("select by key", "SELECT * FROM s.t WHERE id = 5", {"s.t": AS}),
    Kind("select for update", "SELECT * FROM s.t WHERE id = 5 FOR UPDATE", {"s.t": RS}),
    Kind("copy to", "COPY s.lone TO STDOUT", {"s.lone": AS}, scans=("s.lone",)),
    Kind("copy from", "COPY s.lone FROM STDIN", {"s.lone": RX}),
    Kind("update outside a transaction", "UPDATE s.lone SET x = 0", {"s.lone": RX}, scans=("s.lone",), outside=True),
    Kind("alter table outside a transaction", "ALTER TABLE s.t ALTER COLUMN ts TYPE timestamptz(0)", {"s.t": AX}, T, T,
         outside=True),
]  # fmt: skip
