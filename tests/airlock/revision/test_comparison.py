"""What of a history's catalogue is held against the models': what models have words for."""

from __future__ import annotations

from airlock.catalogue.fingerprint import Fingerprint
from airlock.catalogue.fingerprint.model import CatalogueObject
from airlock.operations.revision.comparison import sayable

TABLE = {
    "public.book": CatalogueObject("table", "schema public", {"persistence": "p"}),
    "public.book.title": CatalogueObject("column", "public.book", {"type": "text"}),
    "schema public": CatalogueObject("schema", None, {"owner": "somebody"}),
    "sequence public.s": CatalogueObject("sequence", "schema public", {"type": "bigint"}),
}


def left(**more: CatalogueObject) -> dict[str, dict[str, str]]:
    """Give what is compared of a history that made `more` beside the models' table, or otherwise."""
    migrated = {**TABLE, **{name.replace("__", "."): one for name, one in more.items()}}
    found = sayable(Fingerprint(migrated), Fingerprint(TABLE))
    return {name: dict(one.attributes) for name, one in found.objects.items()}


def test_what_models_have_words_for_is_a_difference() -> None:
    """A column, an index, a constraint of their tables that only the history has; a storage parameter; a comment."""
    column = CatalogueObject("column", "public.book", {"type": "integer"})
    told = CatalogueObject(
        "table", "schema public", {"persistence": "p", "options": "fillfactor=70", "comment": "c"}
    )
    found = left(public__book__pages=column, public__book=told)
    assert found["public.book.pages"] == {"type": "integer"}
    assert found["public.book"] == {"persistence": "p", "options": "fillfactor=70", "comment": "c"}


def test_what_models_cannot_say_is_none() -> None:
    """A view, a trigger, a table of the history's own; grants and storage of a column; a sequence's comment; a schema's owner."""
    view = CatalogueObject("view", "schema public", {"definition": "SELECT 1"})
    trigger = CatalogueObject("trigger", "public.book", {"definition": "…"})
    other = CatalogueObject("column", "public.other", {"type": "text"})
    title = CatalogueObject(
        "column",
        "public.book",
        {"type": "text", "privileges": "r", "storage": "e", "options": "n_distinct=5"},
    )
    found = left(public__seen=view, public__tells=trigger, public__other__x=other, public__book__title=title)
    assert found == {name: dict(one.attributes) for name, one in TABLE.items()}
    sequence = CatalogueObject("sequence", "schema public", {"type": "bigint", "comment": "c"})
    schema = CatalogueObject("schema", None, {"owner": "another", "comment": "standard"})
    changed = {**TABLE, "sequence public.s": sequence, "schema public": schema}
    assert sayable(Fingerprint(changed), Fingerprint(TABLE)) == Fingerprint(TABLE)
