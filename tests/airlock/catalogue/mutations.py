"""One schema that holds every kind of object, and what can be done to it and undone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BASE = """
CREATE ROLE reader;
CREATE ROLE writer;
CREATE SCHEMA other;
CREATE SCHEMA phase2;
SET search_path = phase2;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (one integer, two text);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE DOMAIN short AS varchar(20) CONSTRAINT short_not_blank CHECK (value <> '');
CREATE SEQUENCE ticket;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION brought() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE TABLE brought (a integer);
ALTER EXTENSION plpgsql ADD FUNCTION brought();
ALTER EXTENSION plpgsql ADD TABLE brought;
CREATE PROCEDURE tidy() LANGUAGE sql AS 'SELECT 1';
CREATE DOMAIN filled AS text CONSTRAINT given NOT NULL;
CREATE AGGREGATE moved(integer) (sfunc = int4pl, stype = integer, msfunc = int4pl, minvfunc = int4mi, mstype = integer);
CREATE AGGREGATE total(integer) (sfunc = int4pl, stype = integer, initcond = '0');
CREATE TABLE owner (
  id uuid DEFAULT gen_random_uuid() PRIMARY KEY, tenant integer NOT NULL, email varchar(320) NOT NULL,
  CONSTRAINT uq_owner_email UNIQUE (email), CONSTRAINT uq_owner_tenant_id UNIQUE (tenant, id));
CREATE TABLE task (
  id bigint GENERATED ALWAYS AS IDENTITY, owner_id uuid NOT NULL, tenant integer NOT NULL,
  title varchar(200) NOT NULL, body text COLLATE "C", mood mood NOT NULL DEFAULT 'ok',
  amount numeric(10,2) DEFAULT 0, doc jsonb DEFAULT '{}', tags integer[], code short,
  created_at timestamptz NOT NULL DEFAULT now(), during tsrange,
  doubled numeric GENERATED ALWAYS AS (amount * 2) STORED, flag boolean DEFAULT false, note text,
  CONSTRAINT pk_task PRIMARY KEY (id),
  CONSTRAINT ck_task_title CHECK (length(title) > 0),
  CONSTRAINT ck_task_role CHECK (note IN ('user', 'assistant')),
  CONSTRAINT fk_task_owner FOREIGN KEY (owner_id) REFERENCES owner (id) ON DELETE CASCADE,
  CONSTRAINT fk_task_tenant FOREIGN KEY (tenant, owner_id) REFERENCES owner (tenant, id),
  CONSTRAINT ex_task EXCLUDE USING gist (during WITH &&));
CREATE INDEX ix_task_owner ON task (owner_id, created_at DESC);
CREATE INDEX ix_task_open ON task (owner_id) INCLUDE (title) WHERE NOT flag;
CREATE INDEX ix_task_lower ON task (lower(title));
CREATE INDEX ix_task_doc ON task USING gin (doc jsonb_path_ops);
CREATE TRIGGER touched BEFORE UPDATE ON task FOR EACH ROW EXECUTE FUNCTION touch();
CREATE CONSTRAINT TRIGGER told AFTER INSERT ON task FOR EACH ROW EXECUTE FUNCTION touch();
CREATE POLICY mine ON task FOR SELECT TO reader USING (flag);
CREATE RULE quiet AS ON DELETE TO owner DO ALSO NOTIFY gone;
CREATE VIEW open_task AS SELECT id, title FROM task WHERE NOT flag;
CREATE MATERIALIZED VIEW tally AS SELECT owner_id, count(*) AS n FROM task GROUP BY owner_id;
CREATE STATISTICS st_task (dependencies) ON tenant, owner_id FROM task;
CREATE TABLE event (id bigint, at date NOT NULL, name text DEFAULT 'x') PARTITION BY RANGE (at);
CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE event_2026 (id bigint, at date NOT NULL, name text DEFAULT 'x');
CREATE TABLE parent (a integer);
CREATE TABLE child (b integer) INHERITS (parent);
CREATE TABLE plain (a integer, b integer, c text);
CREATE TABLE keyed (id integer NOT NULL, owner_id uuid, doubled integer GENERATED ALWAYS AS (id * 2) STORED);
CREATE UNIQUE INDEX ux_keyed ON keyed (id);
CREATE TABLE spell (room int4range, during tsrange, CONSTRAINT uq_spell UNIQUE (room, during));
CREATE PUBLICATION news FOR TABLE plain;
CREATE COLLATION backwards (provider = libc, locale = 'C');
CREATE TEXT SEARCH CONFIGURATION words (COPY = pg_catalog.simple);
CREATE TEXT SEARCH DICTIONARY stems (TEMPLATE = pg_catalog.simple);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE remote (a integer) SERVER far;
CREATE OPERATOR === (leftarg = integer, rightarg = integer, procedure = int4eq);
CREATE TRIGGER of_parts AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION touch();
RESET search_path;
"""


@dataclass(frozen=True)
class Mutation:
    """A change, its undoing, and whether pg_dump's schema text shows it."""

    name: str
    apply: str
    undo: str
    dumped: bool = True
    since: int = 14


def _table(text: str) -> tuple[Mutation, ...]:
    """Read `name | apply | undo | option...` lines; the options: nodump, >=N (the major it came with)."""
    found = []
    for line in text.strip().splitlines():
        name, apply, undo, *rest = (part.strip() for part in line.split(" | "))
        options = rest[0].split() if rest else []
        since = next((int(option[2:]) for option in options if option.startswith(">=")), 14)
        found.append(Mutation(name, apply, undo, "nodump" not in options, since))
    return tuple(found)


MUTATIONS = _table(Path(__file__).with_suffix(".txt").read_text())
