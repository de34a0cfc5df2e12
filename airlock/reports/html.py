"""A small toolkit for self-contained HTML pages: no script, no network, readable on a phone and in grey.

    page("airlock review: refused", tag("h1", "refused"), table(["a"], [["1 < 2"]]))

Text is escaped unless it is `Safe`; attributes named with a trailing underscore lose it (`class_`).
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_VOID = frozenset({"meta", "br", "hr"})

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --soft: #595959; --line: #b8b8b8; --wash: #f3f3f3;
  --strong: #8a1c1c; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --paper: #161616; --soft: #a8a8a8; --line: #4d4d4d;
  --wash: #242424; --strong: #ff9d8f; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.25rem 4rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .25rem 0 .75rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, dl { margin: .5rem 0; }
a { color: inherit; text-underline-offset: .15em; }
code, pre { font: .875em/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { background: var(--wash); border: 1px solid var(--line); padding: .6rem .75rem; margin: .4rem 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.verdict { border: 3px solid var(--ink); padding: .75rem 1rem; margin: 0 0 1rem; }
.verdict p:first-child { font-size: 1.6rem; font-weight: 700; line-height: 1.25; margin: 0; }
.verdict.bad { border-color: var(--strong); border-left-width: 14px; }
.soft { color: var(--soft); }
.card { border: 1px solid var(--line); border-left: 6px solid var(--ink); padding: .6rem .9rem; margin: .75rem 0; }
.card.bad { border-left-color: var(--strong); }
.card > :first-child { margin-top: 0; } .card > :last-child { margin-bottom: 0; }
.word { font-weight: 700; border: 1px solid currentColor; padding: 0 .35em; white-space: nowrap; }
.bad .word { color: var(--strong); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dt { font-weight: 600; } dd { margin: 0; min-width: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); }
th { font-size: .85rem; } td.right, th.right { text-align: right; white-space: nowrap; }
td code { overflow-wrap: anywhere; } td.whole, th.whole { white-space: nowrap; }
td:last-child, th:last-child { padding-right: 0; }
tr.bad td:first-child { border-left: 6px solid var(--strong); padding-left: .5rem; }
details { margin: .4rem 0; } td details { margin: 0; } summary { cursor: pointer; }
nav ul, ul.plain { list-style: none; padding: 0; margin: .25rem 0; }
nav li { margin: .15rem 0; }
.bars { border: 1px solid var(--line); padding: .5rem .75rem; margin: .5rem 0; }
.bars .name { font-size: .85rem; margin-top: .4rem; }
.bars .track { position: relative; height: 1rem; background: var(--wash); border: 1px solid var(--line); }
.bars .bar { position: absolute; top: 0; bottom: 0; min-width: 3px; border: 1px solid var(--ink);
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.bars .all { background: var(--ink); }
.bars .writes { background: repeating-linear-gradient(45deg, var(--ink) 0 2px, transparent 2px 6px); }
.bars .axis { display: flex; justify-content: space-between; font-size: .8rem; color: var(--soft); }
svg { display: block; height: auto; max-width: 100%; min-width: 36rem; } svg text { font-family: system-ui, sans-serif; }
@media print, (min-width: 40.01rem) { td:has(code) { min-width: 18rem; } }
@media (max-width: 40rem) {
  dl { display: block; } dd { margin-bottom: .4rem; }
  table.stack thead { display: none; }
  table.stack, table.stack tbody, table.stack tr, table.stack td { display: block; width: 100%; }
  table.stack tr { border: 1px solid var(--line); padding: .35rem .6rem; margin: .5rem 0; }
  .wide { display: none; }
  table.stack td { border: 0; padding: .1rem 0; text-align: left; white-space: normal; }
  table.stack td:empty { display: none; }
  table.stack td[data-name]:not([data-name=""])::before { content: attr(data-name) ": "; color: var(--soft); }
  tr.bad { border-left: 6px solid var(--strong) !important; }
  tr.bad td:first-child { border-left: 0; padding-left: 0; }
}
@media print {
  :root { --ink: #000; --paper: #fff; --soft: #444; --line: #999; --wash: #fff; --strong: #000; }
  body { max-width: none; padding: 0; font-size: 10.5pt; } nav { display: none; }
  .card, tr, .bars, svg { break-inside: avoid; } h2, h3, thead { break-after: avoid; }
  .scroll { overflow: visible; } svg { min-width: 0; } details.whole::details-content { content-visibility: visible; }
  details.whole > summary { display: none; }
}
"""


class Safe(str):
    """Markup that is not to be escaped again."""

    __slots__ = ()


def text(value: str) -> Safe:
    """Escape a text."""
    return Safe(value if isinstance(value, Safe) else html.escape(value, quote=True))


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Safe:
    """Make an element; an attribute of None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Safe(f"<{name}{written}>")
    return Safe(f"<{name}{written}>{join(*children)}</{name}>")


def join(*parts: str) -> Safe:
    """Put escaped parts behind each other."""
    return Safe("".join(text(part) for part in parts))


def link(anchor: str, *children: str) -> Safe:
    """Make a link within the page."""
    return tag("a", *children, href=f"#{anchor}")


def anchor(*words: str) -> str:
    """Make an identifier for an element out of words."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(words)).strip("-")


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    whole: Sequence[int] = (),
    bad: Sequence[bool] = (),
    ids: Sequence[str] = (),
) -> Safe:
    """Make a table that becomes a stack of cards on a phone; rows marked `bad` stand out.

    Columns numbered in `right` end flush, those in `whole` are not broken into lines; one without a word is left out.
    """
    rows = list(rows)
    shown = [i for i in range(len(headers)) if not rows or any(row[i] for row in rows)]

    def kind(column: int) -> str | None:
        return "right" if column in right else "whole" if column in whole else None

    head = tag("tr", *(tag("th", headers[i], class_=kind(i)) for i in shown))
    body = [
        tag(
            "tr",
            *(tag("td", row[i], class_=kind(i), data_name=headers[i]) for i in shown),
            class_="bad" if number < len(bad) and bad[number] else None,
            id=ids[number] if number < len(ids) else None,
        )
        for number, row in enumerate(rows)
    ]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body), class_="stack"), class_="scroll")


def page(title: str, *body: str) -> str:
    """Make the whole document; `title` begins with the verdict."""
    return "".join(page_pieces(title, body))


def page_pieces(title: str, body: Iterable[str]) -> Iterator[str]:
    """Make the document piece by piece: one that is never whole in memory."""
    head = join(
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # Without a link a browser would ask the server for /favicon.ico.
        Safe('<link rel="icon" href="data:,">'),
        tag("title", title),
        tag("style", Safe(STYLE)),
    )
    yield f'<!doctype html>\n<html lang="en">{tag("head", head)}<body>'
    yield from map(text, body)
    yield "</body></html>\n"
