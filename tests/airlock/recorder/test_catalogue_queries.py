"""Which queries ask the catalogue alone."""

from __future__ import annotations

import pytest

from airlock.recorder.catalogue_queries import asks_catalogue
from airlock.recorder.row_changes import data_statements


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT relname FROM pg_class",
        "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE true",
        "SELECT * FROM (SELECT oid FROM pg_class, pg_namespace) AS s LEFT OUTER JOIN LATERAL unnest(s.k) ON true",
        "SELECT EXISTS (SELECT FROM information_schema.tables WHERE table_name = 'task')",
    ],
)
def test_an_inspectors_query_is_the_catalogues(sql: str) -> None:
    """It finds nothing where there is no index, and no row would change that."""
    assert asks_catalogue(sql)
    assert data_statements(sql) == ()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT * FROM task, pg_class",
        "SELECT * FROM pg_class, task",
        "SELECT * FROM pg_class CROSS JOIN task",
        "SELECT relname FROM pg_class WHERE oid IN (SELECT id FROM task)",
        "SELECT (SELECT count(*) FROM task) FROM pg_class",
        "SELECT extract(year FROM made) FROM pg_class",
        "WITH mine AS (SELECT * FROM pg_class) SELECT * FROM mine, task",
        "SELECT * FROM public.pg_class",
        "SELECT * FROM mine()",
        "SELECT reltuples FROM pg_class",
        "SELECT n_live_tup FROM pg_stat_user_tables",
        "SELECT count(*) FROM pg_catalog.pg_largeobject",
    ],
)
def test_a_query_that_a_row_may_decide_is_not(sql: str) -> None:
    """One source that is no catalogue's is enough; so is a count of rows that the catalogue keeps."""
    assert not asks_catalogue(sql)
