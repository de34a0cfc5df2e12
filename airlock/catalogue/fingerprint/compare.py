"""Where two fingerprints disagree, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.records.difference import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.catalogue.fingerprint.model import CatalogueObject, Fingerprint


def differences(before: Fingerprint, after: Fingerprint) -> tuple[Difference, ...]:
    """List every object and attribute that is not the same, sorted.

    What comes or goes with its table (columns, indexes, constraints, triggers) is not listed beside it. The
    order of columns is compared among those that both readings hold.
    """
    return tuple(sorted(_differences(before, after)))


def _differences(before: Fingerprint, after: Fingerprint) -> Iterator[Difference]:
    old, new = before.objects, after.objects
    gone = {name for name in old if name not in new}
    come = {name for name in new if name not in old}
    for name in gone:
        if old[name].parent not in gone:
            yield Difference(name, old[name].kind, old[name].summary(), None)
    for name in come:
        if new[name].parent not in come:
            yield Difference(name, new[name].kind, None, new[name].summary())
    for name, thing in old.items():
        if name not in gone and thing is not new[name] and thing != new[name]:
            yield from _attributes(name, thing, new[name])


def _attributes(name: str, old: CatalogueObject, new: CatalogueObject) -> Iterator[Difference]:
    if old.kind != new.kind:
        yield Difference(name, "kind", old.kind, new.kind)
    for attribute in sorted({*old.attributes, *new.attributes}):
        before, after = old.attributes.get(attribute), new.attributes.get(attribute)
        if before == after:
            continue
        if attribute == "columns":
            yield from _order(name, new.kind, before or "", after or "")
        else:
            yield Difference(name, f"{new.kind} {attribute}", before, after)


def _order(name: str, kind: str, before: str, after: str) -> Iterator[Difference]:
    old, new = before.split(", "), after.split(", ")
    common = set(old) & set(new)
    kept_old = [column for column in old if column in common]
    kept_new = [column for column in new if column in common]
    if kept_old != kept_new:
        # Of a composite type statements write and read the values by place: '(1,x)', ROW(1, 'x').
        what = "attribute order" if kind == "composite type" else "column order"
        yield Difference(name, what, ", ".join(kept_old), ", ".join(kept_new))
