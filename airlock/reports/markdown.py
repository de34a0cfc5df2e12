"""A review as Markdown that fits a pull request comment: verdict first, cut with a pointer where it must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.reports import erd, load, phrases
from airlock.reports.text import count, duration, shorten
from airlock.reports.trace import examined_effects, told_locks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.records.findings import Safer
    from airlock.records.review import Review, ReviewedRevision
    from airlock.records.trace import TracedRevision

# GitHub refuses a comment of more than 65,536 characters.
LIMIT = 65_000
_POINTER = "\n_Cut here: {left} more of this report in review.html and review.json._\n"
_SQL = 4_000


def markdown(review: Review) -> str:
    """Write the review; blocks that no longer fit are left out from the first on, and that is said."""
    blocks = list(_blocks(review))
    room = LIMIT - len(_POINTER) - 20
    kept: list[str] = []
    used = 0
    for place, block in enumerate(blocks):
        used += len(block) + 1
        if used > room:
            kept.append(_POINTER.format(left=count(len(blocks) - place, "part")))
            break
        kept.append(block)
    return "\n".join(kept)


def _blocks(review: Review) -> Iterator[str]:
    yield f"# airlock review: {review.verdict}\n\n**{phrases.headline(review)}**\n\n{phrases.circumstances(review)}.\n"
    if review.dangers:
        yield "## Dangerous\n"
    for danger in review.dangers:
        lines = [
            f"### {danger.revision} {phrases.title(danger.title)} ({danger.direction})\n",
            f"`{danger.statement.file}:{danger.statement.line}`\n",
            _fenced(shorten(danger.statement.sql, 300), "sql"),
            *(f"- {sentence}" for sentence in phrases.danger_sentences(danger)),
            *(f"- {sentence}" for sentence in phrases.otherwise(danger)),
            f"- **{phrases.answer(danger)}**\n",
            *(_instead(one) for one in danger.instead),
        ]
        yield "\n".join(lines)
    found = list(phrases.told(review))
    if found:
        rows = [[where, _code_free(sentence), _code_free(what)] for where, sentence, what in found]
        yield f"## Found besides\n\n{_table(('where', 'finding', 'taken on'), rows)}\n"
    if review.blocker_s:
        rows = [
            [where, _code(sql) if sql else "", _code_free(said)] for where, sql, said in load.told(review)
        ]
        yield f"## Behind a reader\n\n{_table(('where', 'statement', 'seen'), rows)}\n"
    if review.unexamined:
        listed = "\n".join(
            f"- {step.revision} ({step.direction}): {_code_free(why)}" for step, why in review.unexamined
        )
        yield f"## Steps not examined\n\n{listed}\n"
    if review.unfilled:
        listed = "\n".join(f"- {one.table}: {one.reason}" for one in review.unfilled)
        yield f"## Not examined\n\nThese tables held too few rows for a scan of them to show.\n\n{listed}\n"
    yield _summary(review)
    for revision in review.revisions:
        yield from _revision(revision)
    if review.differences:
        listed = "\n".join(f"- {_code_free(phrases.difference(one))}" for one in review.differences)
        yield f"## What changes in the catalogue\n\n{listed}\n"
    drawn, left_out = erd.shown(review.diagram)
    if drawn.entities:
        told = f"Marked: new, gone, changed. {left_out}".rstrip()
        yield f"## Diagram\n\n{told}\n\n{_fenced(erd.mermaid(drawn), 'mermaid')}\n"
    for revision in review.revisions:
        yield from _scripts(revision)
    yield "## What this cannot see\n\n" + "\n".join(f"- {one}" for one in phrases.CANNOT_SEE) + "\n"


def _instead(safer: Safer) -> str:
    body = "\n\n".join(
        f"{number}. {_code_free(draft.title)}\n\n{_fenced(draft.upgrade, 'python')}"
        for number, draft in enumerate(safer.drafts, 1)
    )
    said = "".join(f"\n\n{_code_free(one)}" for one in safer.remarks)
    title = f"Instead, for {safer.table}: {count(len(safer.drafts), 'revision')}"
    return f"<details><summary>{title}</summary>\n\n{body}{said}\n\n</details>\n"


def _summary(review: Review) -> str:
    rows = []
    for revision in review.revisions:
        down = revision.down
        rows.append(
            [
                revision.revision,
                phrases.title(revision.title),
                _step(revision.up),
                _step(down) if down is not None else "",
                "; ".join(loss.object for loss in revision.losses),
            ]
        )
    return "## Revisions\n\n" + _table(("revision", "title", "up", "down", "going down loses"), rows) + "\n"


def _step(step: TracedRevision) -> str:
    if step.stays:
        return step.stays[0]
    if step.unexamined:
        return "not examined"
    bad = sum(statement.dangerous for statement in step.statements)
    parts = [
        f"**{count(bad, 'dangerous statement')}**" if bad else "",
        phrases.waits(step),
        duration(step.ms),
    ]
    parts += ["outside a transaction" if not step.transactional else ""]
    parts += ["depends on rows" if step.depends_on_rows else ""]
    return ", ".join(part for part in parts if part)


def _revision(revision: ReviewedRevision) -> Iterator[str]:
    lines = [f"## {revision.revision} {phrases.title(revision.title)}\n", f"`{revision.path}`\n"]
    answers = (("Why", revision.why), ("Locks", revision.locks), ("Undo", revision.undo))
    lines += [f"- {name}: {_code_free(said)}" for name, said in answers if said]
    yield "\n".join(lines).rstrip("\n") + "\n"
    yield _trace("Up", revision, revision.up)
    if revision.down is not None:
        if revision.down.stays:
            word, why = revision.down.stays
            yield f"### Down\n\n{word.capitalize()}: {_code_free(why)}\n"
        else:
            yield _trace("Down", revision, revision.down)
    if revision.up.drops:
        yield (
            "### Going up drops\n\n" + "\n".join(f"- {_code_free(name)}" for name in revision.up.drops) + "\n"
        )
    told = [f"- {_code_free(phrases.loss(one))}" for one in revision.losses]
    told += [f"- {name} is kept: {sentence}" for name, sentence in revision.kept]
    if told:
        yield "### Going down loses\n\n" + "\n".join(told) + "\n"


def _trace(name: str, revision: ReviewedRevision, step: TracedRevision) -> str:
    parts = [f"### {name}\n"]
    if step.depends_on_rows:
        parts.append("Depends on rows: this is one path.\n")
    if not step.statements:
        return "\n".join([*parts, "No statement.\n"])
    rows = [
        [
            f"{place}{' **DANGEROUS**' if statement.dangerous else ''}",
            _code(shorten(statement.sql, 160)),
            statement.blocks,
            told_locks(statement.locks),
            told_locks(statement.held),
            examined_effects(statement),
            duration(statement.ms),
        ]
        for place, statement in enumerate(step.statements, 1)
    ]
    headers = ("#", "statement", "blocks", "new locks", "still held", "does", "time")
    parts.append(_table(headers, rows) + "\n")
    spans = phrases.timeline(step)
    if spans:
        parts.append("Who is blocked when:\n")
        parts.append(
            _table(
                ("object", "blocked", "from", "to"),
                [[name, word, duration(start), duration(end)] for name, word, start, end in spans],
            )
            + "\n"
        )
    opinions = [
        f"- {place + 1}: {agreement}. {_code_free(sentence)}"
        for place, agreement, sentence in phrases.second_opinion(revision, step.direction)
    ]
    if opinions:
        parts.append("Second reader:\n\n" + "\n".join(opinions) + "\n")
    return "\n".join(parts)


def _scripts(revision: ReviewedRevision) -> Iterator[str]:
    for script in revision.scripts:
        note = f" ({_code_free(script.note)})" if script.note else ""
        if len(script.sql) > _SQL:
            yield f"`{script.name}`{note}: {count(len(script.sql), 'character')}, in the bundle.\n"
        else:
            yield (
                f"<details><summary>{script.name}{note}</summary>\n\n{_fenced(script.sql.strip(), 'sql')}\n\n</details>\n"
            )


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(_cell(cell).split()) for cell in line) + " |" for line in lines
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    """Quote as code, with a fence longer than any inside."""
    fence = "`"
    while fence in text:
        fence += "`"
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def _code_free(text: str) -> str:
    """Keep a sentence from being read as markup."""
    return " ".join(text.split()).replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
