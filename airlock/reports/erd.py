"""Entity-relationship diagrams: Mermaid for Markdown, SVG for HTML. What changed is marked in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.reports.html import Safe, tag
from airlock.reports.text import count, width

if TYPE_CHECKING:
    from airlock.records.diagram import Column, Diagram, Edge, Entity

_ROW, _HEAD, _PAD, _GAP_X, _GAP_Y, _LETTER = 22, 28, 10, 130, 28, 7.4
# More tables than these are no picture; then what changed is drawn, with its neighbours.
MOST = 30
_MARKS = {"new": "+ ", "gone": "- ", "changed": "~ ", "": ""}


def mermaid(diagram: Diagram) -> str:
    """Write a Mermaid `erDiagram`. A composite key is one edge; its label tells columns and cascade."""
    lines = ["erDiagram"]
    for entity in diagram.entities:
        lines.append(f'    "{_plain(entity.name)}" {{')
        for column in entity.columns:
            key = f" {column.key.replace(' ', ', ')}" if column.key else ""
            notes = [column.mark, "null" if column.nullable else ""]
            note = ", ".join(word for word in notes if word)
            lines.append(
                f"        {_token(_type(column.type))} {_token(column.name)}{key}"
                + (f' "{note}"' if note else "")
            )
        lines.append("    }")
    for edge in diagram.edges:
        one, many = ("|o" if edge.optional else "||"), ("o|" if edge.unique else "o{")
        lines.append(
            f'    "{_plain(edge.refers_to)}" {one}--{many} "{_plain(edge.table)}" : "{_plain(label(edge))}"'
        )
    return "\n".join(lines)


def shown(diagram: Diagram) -> tuple[Diagram, str]:
    """Choose what is drawn, and say what is left out."""
    drawn = diagram.focused(MOST)
    left = len(diagram.entities) - len(drawn.entities)
    return drawn, f"{count(left, 'table')} not drawn: what changed is, and its neighbours." if left else ""


def label(edge: Edge) -> str:
    """Name an edge by its columns, what a delete does, and its change."""
    words = [", ".join(edge.columns), f"delete: {edge.on_delete}" if edge.on_delete else "", edge.mark]
    return " · ".join(word for word in words if word)


def svg(diagram: Diagram) -> Safe:
    """Draw the diagram: tables by their distance from those that refer to nothing, an edge for every key."""
    if not diagram.entities:
        return Safe("")
    columns = _columns(diagram)
    places: dict[str, tuple[float, float]] = {}
    widths = {entity.name: _width(entity) for entity in diagram.entities}
    x, bottom = float(_PAD), 0.0
    for column in columns:
        y = float(_PAD)
        for entity in column:
            places[entity.name] = (x, y)
            y += _height(entity) + _GAP_Y
        bottom = max(bottom, y)
        x += max(widths[entity.name] for entity in column) + _GAP_X
    right = x - _GAP_X + _PAD + (60 if any(edge.table == edge.refers_to for edge in diagram.edges) else 0)
    parts = [
        tag(
            "defs",
            tag(
                "marker", tag("path", d="M0,0 L8,4 L0,8", fill="none", stroke="currentColor"),
                id="arrow", markerUnits="userSpaceOnUse", markerWidth=10, markerHeight=10, refX=8, refY=4, orient="auto",
            ),
        )
    ]  # fmt: skip
    entities = {entity.name: entity for entity in diagram.entities}
    parts += [
        _edge(edge, entities, places, widths)
        for edge in diagram.edges
        if edge.table in places and edge.refers_to in places
    ]
    parts += [_box(entity, *places[entity.name], widths[entity.name]) for entity in diagram.entities]
    return tag(
        "svg", *parts, viewBox=f"0 0 {right:.0f} {bottom:.0f}", width=f"{right:.0f}", height=f"{bottom:.0f}",
        role="img", aria_label="Tables and their keys", font_size=13, fill="currentColor",
    )  # fmt: skip


def _columns(diagram: Diagram) -> list[list[Entity]]:
    """Put each table right of every table it refers to; cycles are cut where they are met first."""
    refers: dict[str, set[str]] = {entity.name: set() for entity in diagram.entities}
    for edge in diagram.edges:
        if edge.table in refers and edge.refers_to in refers and edge.table != edge.refers_to:
            refers[edge.table].add(edge.refers_to)
    depth: dict[str, int] = {}

    def rank(name: str, path: frozenset[str]) -> int:
        if name not in depth:
            further = [rank(other, path | {name}) + 1 for other in sorted(refers[name] - path)]
            depth[name] = max(further, default=0)
        return depth[name]

    for name in refers:
        rank(name, frozenset({name}))
    columns: list[list[Entity]] = [[] for _ in range(max(depth.values()) + 1)]
    for entity in diagram.entities:
        columns[depth[entity.name]].append(entity)
    return columns


def _box(entity: Entity, x: float, y: float, wide: float) -> Safe:
    dash = "6 4" if entity.mark == "gone" else None
    thick = 2.5 if entity.mark else 1.25
    rows = [
        tag("rect", x=_n(x), y=_n(y), width=_n(wide), height=_n(_height(entity)), fill="var(--paper, #fff)",
            stroke="currentColor", stroke_width=thick, stroke_dasharray=dash),
        tag("text", _title(entity), x=_n(x + _PAD), y=_n(y + 19), font_weight="700"),
        tag("line", x1=_n(x), y1=_n(y + _HEAD), x2=_n(x + wide), y2=_n(y + _HEAD), stroke="currentColor"),
    ]  # fmt: skip
    for number, column in enumerate(entity.columns):
        bold = "700" if column.mark else None
        struck = "line-through" if column.mark == "gone" else None
        rows.append(
            tag("text", _column(column), x=_n(x + _PAD), y=_n(y + _HEAD + 16 + number * _ROW),
                font_weight=bold, text_decoration=struck)
        )  # fmt: skip
    return tag("g", *rows)


def _edge(
    edge: Edge, entities: dict[str, Entity], places: dict[str, tuple[float, float]], widths: dict[str, float]
) -> Safe:
    x1, y1 = places[edge.table]
    x2, y2 = places[edge.refers_to]
    y1 += _middle(entities[edge.table], edge.columns)
    y2 += _middle(entities[edge.refers_to], edge.refers_to_columns)
    thick, dash = (2.5 if edge.mark else 1.25), ("6 4" if edge.mark == "gone" else None)
    if edge.table == edge.refers_to:
        x1 += widths[edge.table]
        path = f"M{_n(x1)},{_n(y1)} C{_n(x1 + 50)},{_n(y1)} {_n(x1 + 50)},{_n(y2)} {_n(x1)},{_n(y2)}"
        at, anchor_ = (x1 + 8, max(y1, y2) + 14), "start"
    else:
        start, end = x1, x2 + widths[edge.refers_to]
        if end > start:  # a cycle: the target is not to the left
            start, end = x1 + widths[edge.table], x2
        bend = max(40.0, abs(start - end) / 2)
        sign = 1 if end > start else -1
        path = (
            f"M{_n(start)},{_n(y1)} C{_n(start + sign * bend)},{_n(y1)}"
            f" {_n(end - sign * bend)},{_n(y2)} {_n(end)},{_n(y2)}"
        )
        at, anchor_ = (start + sign * 8, y1 - 5), "end" if sign < 0 else "start"
    words = " · ".join(word for word in (edge.on_delete, edge.mark) if word)
    drawn = tag("path", d=path, fill="none", stroke="currentColor", stroke_width=thick, stroke_dasharray=dash,
                marker_end="url(#arrow)")  # fmt: skip
    told = tag("title", f"{edge.table}: {label(edge)} -> {edge.refers_to}")
    return tag(
        "g", drawn, told, tag("text", words, x=_n(at[0]), y=_n(at[1]), font_size=11, text_anchor=anchor_)
    )


def _middle(entity: Entity, columns: tuple[str, ...]) -> float:
    """Find the height of the key's columns; of a composite key, the middle between them."""
    numbers = [place for place, column in enumerate(entity.columns) if column.name in columns]
    if not numbers:
        return _HEAD / 2
    return _HEAD + (sum(numbers) / len(numbers) + 0.5) * _ROW


def _title(entity: Entity) -> str:
    return f"{entity.name}{f' ({entity.mark})' if entity.mark else ''}"


def _column(column: Column) -> str:
    key = f"  {column.key}" if column.key else ""
    return f"{_MARKS[column.mark]}{column.name}  {_type(column.type)}{'' if not column.nullable else ' null'}{key}"


def _type(name: str) -> str:
    """Spell a type as people write it, where PostgreSQL spells it as the standard does."""
    for long, short in (("character varying", "varchar"), ("timestamp with time zone", "timestamptz")):
        name = name.replace(long, short)
    return re.sub(r"^timestamp(\(\d\))? with time zone", r"timestamptz\1", name)


def _width(entity: Entity) -> float:
    letters = max([width(_title(entity)) + 2, *(width(_column(column)) for column in entity.columns)])
    return round(letters * _LETTER) + 2 * _PAD


def _height(entity: Entity) -> float:
    return _HEAD + _ROW * len(entity.columns) + 6


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _token(text: str) -> str:
    return re.sub(r"[^\w()\[\]]+", "_", text).strip("_") or "_"


def _plain(text: str) -> str:
    return text.replace('"', "'")
