"""A drill as one self-contained HTML file: verdict first, words before colour, no script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.records.drill import IRREVERSIBLE, NOT_EXAMINED, PROVED, REFUSED
from airlock.reports.drill import (
    WORTH_SAYING,
    asked,
    difference,
    grounds,
    headline,
    holds,
    reached,
    samples,
    stopped,
    trial,
)
from airlock.reports.drill_sizes import against_rows, rates, stalls
from airlock.reports.html import Safe, anchor, join, link, page, table, tag
from airlock.reports.text import count, duration, number, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.records.drill import Cut, DrillReport, RevisionProof

CANNOT_SEE = (
    (
        "Rows that only production has: sample rows follow the catalogue, not your customers. Put what matters into"
        " tests/rows/<schema>.<table>.sql, and it is used instead."
    ),
    "What a revision does outside its database: roles and their settings, files, queues, other servers.",
    (
        "Code that depends on more than the schema. Traffic (--traffic) sends single statements made from the catalogue,"
        " not your application's transactions."
    ),
    "Another server version, other extensions, other settings than the scratch server's named above.",
    "Sizes. A step that is quick on sample rows may take hours on yours: airlock trace and review tell which.",
)
_LONGEST = 160
_LETTERS = {PROVED: "P", REFUSED: "R", NOT_EXAMINED: "?", IRREVERSIBLE: "I"}
_FILLS = {PROVED: "#dfeee0", REFUSED: "#8a1c1c", NOT_EXAMINED: "#ffffff", IRREVERSIBLE: "#e4e4e4"}


def html(report: DrillReport) -> str:
    """Write the page."""
    bad = report.verdict != PROVED
    body = [
        tag("h1", "airlock drill"),
        tag(
            "div",
            tag("p", report.verdict),
            tag("p", grounds(report)),
            class_="verdict bad" if bad else "verdict",
        ),
        _circumstances(report),
        tag("h2", "All revisions"),
        _strip(report),
        _overview(report),
    ]
    if report.longest_stall_ms is not None:
        body += [tag("h2", "How long clients waited"), stalls(report)]
    if any(proof.rows_touched >= WORTH_SAYING for proof in report.revisions):
        body += [tag("h2", "Time and stall against rows"), against_rows(report)]
    if report.rates:
        body += [tag("h2", "Sample rows beside a hand-written INSERT"), rates(report)]
    body += [part for proof in report.revisions for part in _revision(proof)]
    unfilled = [one for one in report.fills if one.reason]
    if unfilled:
        body += [
            tag("h2", "Tables with fewer rows than asked for"),
            table(
                ["table", "rows", "why"],
                [[it.table, f"{it.rows} of {it.wanted}", it.reason or ""] for it in unfilled],
            ),
        ]
    body += [
        tag("h2", "What this drill cannot see"),
        tag("ul", *(tag("li", sentence) for sentence in CANNOT_SEE)),
    ]
    return page(f"{report.verdict}: airlock drill", *body)


def _circumstances(report: DrillReport) -> Safe:
    facts = [
        ("Server", f"PostgreSQL {report.server_version}"),
        ("Rows", f"{number(report.rows)} sample rows a table"),
    ]
    if report.rows_made:
        facts.append(("Rows made", samples(report)))
    if report.traffic:
        facts.append(("Traffic", count(report.traffic, "client")))
    if report.crash:
        facts.append(
            ("Crashes", "every step cut at every statement, and inside those that commit by themselves")
        )
    if report.roles:
        facts.append(("Roles made", ", ".join(report.roles)))
    if report.cut_short is not None:
        facts.append(("Cut short", stopped(report.cut_short, len(report.revisions))))
    facts.append(("Took", duration(report.elapsed_ms)))
    return tag("dl", *(part for name, value in facts for part in (tag("dt", name), tag("dd", value))))


def _strip(report: DrillReport) -> Safe:
    """Draw one box per revision, with a letter in it: it must read in grey as well."""
    per_line, size = 24, 22
    boxes = []
    for place, proof in enumerate(report.revisions):
        x, y = place % per_line * size, place // per_line * size
        ink = "#ffffff" if proof.verdict == REFUSED else "#1a1a1a"
        boxes.append(
            tag(
                "a",
                tag("title", f"{proof.revision} {proof.title}: {proof.verdict}"),
                tag("rect", x=x + 1, y=y + 1, width=size - 2, height=size - 2, fill=_FILLS[proof.verdict], stroke="#1a1a1a",
                    stroke_dasharray="3 2" if proof.verdict == NOT_EXAMINED else None),
                tag("text", _LETTERS[proof.verdict], x=x + size / 2, y=y + size / 2 + 4.5, text_anchor="middle",
                    font_size=13, fill=ink),
                href=f"#{anchor(proof.revision)}",
            )
        )  # fmt: skip
    columns = min(len(report.revisions), per_line) or 1
    lines = (len(report.revisions) + per_line - 1) // per_line or 1
    drawing = tag(
        "svg", *boxes, viewBox=f"0 0 {columns * size} {lines * size}", width=columns * size, role="img",
        aria_label=headline(report), style="min-width:0;max-width:100%",
    )  # fmt: skip
    legend = tag("p", "P proved · R refused · ? not examined · I irreversible", class_="soft")
    return join(tag("div", drawing, class_="scroll"), legend)


def _overview(report: DrillReport) -> Safe:
    rows = [
        [
            link(anchor(proof.revision), proof.revision),
            proof.title,
            proof.verdict,
            " / ".join(
                "-" if ms is None else duration(ms) for ms in (proof.ms.up, proof.ms.down, proof.ms.again)
            ),
        ]
        for proof in report.revisions
    ]
    return table(
        ["revision", "title", "verdict", "up / down / again"],
        rows,
        whole=[3],
        bad=[proof.verdict == REFUSED for proof in report.revisions],
    )


def _revision(proof: RevisionProof) -> Iterator[Safe]:
    yield tag("h2", f"{proof.title}", id=anchor(proof.revision))
    word = tag("span", proof.verdict, class_="word")
    yield tag(
        "div",
        tag("p", word, f" {proof.revision}"),
        *([tag("p", proof.reason)] if proof.reason else []),
        class_="card bad" if proof.verdict == REFUSED else "card",
    )
    if proof.differences:
        yield tag("h3", "What is not as it was")
        yield table(
            ["object", "what", "before", "after"],
            [
                [it.object, it.kind, it.before or "not there", it.after or "not there"]
                for it in proof.differences
            ],
            bad=[True] * len(proof.differences),
        )
        yield tag(
            "details", tag("summary", "in sentences"), _list(difference(it) for it in proof.differences)
        )
    if proof.broken:
        yield tag("h3", "Statements of the other release that fail")
        yield table(
            ["direction", "statement", "error", "times"],
            [[it.direction, it.statement, it.error, str(it.times)] for it in proof.broken],
            bad=[True] * len(proof.broken),
        )
    if proof.kept:
        yield tag("h3", "Kept on purpose")
        yield _list(f"{it.object}: {it.sentence}" for it in proof.kept)
    if proof.conditions:
        yield tag("h3", f"{holds(proof).capitalize()} while these count no row")
        yield table(
            ["object", "rows that must not be there", "asked", "query", "tried"],
            [
                [it.object, it.why, asked(it), tag("code", it.sql), trial(it).removeprefix("tried: ")]
                for it in proof.conditions
            ],
        )
    if proof.losses:
        yield tag("h3", "Lost when going down")
        yield table(
            ["object", "rows written meanwhile", "why"],
            [[it.object, str(it.rows), it.why] for it in proof.losses],
        )
    if proof.met:
        yield tag("h3", "Rows that data statements met")
        yield table(
            ["direction", "place", "statement", "rows"],
            [
                [it.direction, it.place, tag("code", shorten(it.sql, _LONGEST)), "; ".join(reached(it))]
                for it in proof.met
            ],
            bad=[bool(it.problem) for it in proof.met],
        )
    if proof.held:
        yield tag("h3", "Locked until the step's end")
        yield _timeline(proof)
    if proof.cuts:
        yield tag("h3", "Crashes")
        yield from _crashes(proof.cuts)
    if proof.notes:
        yield tag("h3", "Notes")
        yield _list(proof.notes)


def _crashes(cuts: Sequence[Cut]) -> Iterator[Safe]:
    """Show what a cut left behind; what the run after it put right is counted, and listed for who asks."""
    failed = [it for it in cuts if not it.converged]
    good = [it for it in cuts if it.converged]
    headers = ["direction", "cut at", "statement", "outcome"]

    def row(it: Cut) -> list[str]:
        return [it.direction, str(it.statement), tag("code", shorten(it.sql, _LONGEST)), it.outcome]

    if failed:
        yield table(headers, [row(it) for it in failed], bad=[True] * len(failed))
    if good:
        told = f"{count(len(good), 'crash', 'crashes')}: the run after each arrived where it should"
        yield tag("details", tag("summary", told), table(headers[:3], [row(it)[:3] for it in good]))


def _timeline(proof: RevisionProof) -> Safe:
    """Draw each lock as a bar as long as its step: what is held at the end was held no longer than that."""
    longest = max(proof.ms.up or 0, proof.ms.down or 0) or 1
    bars = []
    for it in proof.held:
        ms = (proof.ms.up if it.direction == "up" else proof.ms.down) or 0
        exclusive = it.mode == "ACCESS EXCLUSIVE"
        bars += [
            tag("div", f"{it.direction}: {it.object}, {it.mode}, at most {duration(ms)}", class_="name"),
            tag(
                "div",
                tag(
                    "div",
                    class_="bar all" if exclusive else "bar writes",
                    style=f"left:0;width:{max(ms / longest * 100, 0.5):.1f}%",
                ),
                class_="track",
            ),
        ]
    return tag("div", *bars, class_="bars")


def _list(items: object) -> Safe:
    return tag("ul", *(tag("li", str(item)) for item in items))  # type: ignore[attr-defined]
