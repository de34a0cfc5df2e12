"""The parts of a drill's page about sizes: what clients waited, what steps took beside rows, how fast rows are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.reports.drill import locked
from airlock.reports.html import Safe, join, table, tag
from airlock.reports.text import duration, number

if TYPE_CHECKING:
    from airlock.records.drill import DrillReport


def stalls(report: DrillReport) -> Safe:
    """Draw p50, p99 and the longest wait of each step on one logarithmic axis."""
    import math

    steps = [(proof, stall) for proof in report.revisions for stall in proof.stalls]
    top = max(max(stall.longest for _, stall in steps), 10.0)
    low, width, line = 0.1, 640, 22

    def x(ms: float) -> float:
        return round(190 + (width - 250) * math.log10(max(ms, low) / low) / math.log10(top / low), 1)

    drawn = []
    for place, (proof, stall) in enumerate(steps):
        y = 12 + place * line
        drawn += [
            tag(
                "text",
                f"{proof.revision[:12]} {stall.direction}",
                x=0,
                y=y + 4,
                font_size=12,
                fill="currentColor",
            ),
            tag("line", x1=x(stall.p50), x2=x(stall.longest), y1=y, y2=y, stroke="currentColor"),
            tag("circle", cx=x(stall.p50), cy=y, r=3, fill="currentColor"),
            tag("rect", x=x(stall.p99) - 3, y=y - 4, width=6, height=8, fill="none", stroke="currentColor"),
            tag(
                "line",
                x1=x(stall.longest),
                x2=x(stall.longest),
                y1=y - 6,
                y2=y + 6,
                stroke="currentColor",
                stroke_width=3,
            ),
            tag(
                "text",
                duration(stall.longest),
                x=x(stall.longest) + 6,
                y=y + 4,
                font_size=12,
                fill="currentColor",
            ),
        ]
    drawing = tag(
        "svg", *drawn, viewBox=f"0 0 {width + 40} {len(steps) * line + 8}", width=width + 40, role="img",
        aria_label=f"longest stall {duration(report.longest_stall_ms or 0)}", style="min-width:0;max-width:100%",
    )  # fmt: skip
    legend = tag("p", "dot: p50 · box: p99 · bar: the longest single statement (logarithmic)", class_="soft")
    cells = [
        [
            proof.revision,
            stall.direction,
            f"{stall.statements:,}",
            duration(stall.p50),
            duration(stall.p99),
            duration(stall.longest),
        ]
        for proof, stall in steps
    ]
    return join(
        # On a phone its letters would be too small; the table below says the same.
        tag("div", drawing, legend, class_="wide"),
        table(["revision", "direction", "statements", "p50", "p99", "longest"], cells, right=(2, 3, 4, 5)),
    )


def against_rows(report: DrillReport) -> Safe:
    """Tabulate time, locks and stalls of each revision beside the rows of the tables that it touched."""

    def ms(value: float | None) -> str:
        return "-" if value is None else duration(value)

    return table(
        ["revision", "tables", "rows", "up", "up, locked", "up, stall", "down", "down, locked", "down, stall"],
        [
            [
                proof.revision, ", ".join(it.table for it in proof.touched), number(proof.rows_touched),
                ms(proof.ms.up), locked(proof, "up"), ms(proof.longest_stall("up")),
                ms(proof.ms.down), locked(proof, "down"), ms(proof.longest_stall("down")),
            ]
            for proof in report.revisions if proof.touched
        ],
        right=(2, 3, 5, 6, 8),
    )  # fmt: skip


def rates(report: DrillReport) -> Safe:
    """Tabulate how fast sample rows were made, and how fast by hand."""
    found = table(
        ["table", "rows", "rows a second", "by hand", "time, of by hand's"],
        [
            [
                it.table, number(it.rows), number(round(it.a_second)),
                it.reason or "" if it.by_hand_a_second is None else number(round(it.by_hand_a_second)),
                "-" if it.ratio is None else f"{it.ratio:.2f} x",
            ]
            for it in report.rates
        ],
        right=(1, 2, 3, 4),
    )  # fmt: skip
    legend = (
        "By hand: a plain INSERT … SELECT generate_series into an empty clone of the table, with its keys, foreign keys,"
        " indexes, CHECKs and triggers, in the same run."
    )
    return join(found, tag("p", legend, class_="soft"))
