"""A review as one HTML file that needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.reports import erd, load, phrases
from airlock.reports.html import Safe, anchor, join, link, page_pieces, table, tag
from airlock.reports.text import count, duration
from airlock.reports.trace import examined_effects, told_locks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airlock.records.findings import Safer
    from airlock.records.review import Danger, Review, ReviewedRevision
    from airlock.records.trace import TracedRevision

_HEADERS = ("#", "statement", "blocks", "new locks", "still held", "does", "time")


def html(review: Review) -> str:
    """Write the page: the verdict, what is dangerous, each revision, the catalogue, the diagram."""
    return "".join(pieces(review))


def pieces(review: Review) -> Iterator[str]:
    """Write the page piece by piece."""
    return page_pieces(f"{review.verdict}: airlock review", _body(review))


def _body(review: Review) -> Iterator[Safe]:
    bad = bool(review.refusals)
    yield tag("h1", "airlock review")
    yield tag(
        "div",
        tag("p", review.verdict),
        tag("p", phrases.headline(review)),
        tag("p", phrases.circumstances(review) + ".", class_="soft"),
        class_="verdict bad" if bad else "verdict",
    )
    yield _navigation(review)
    if review.dangers:
        yield tag("h2", "Dangerous", id="dangerous")
        yield from (_danger(danger, place) for place, danger in enumerate(review.dangers))
    found = list(phrases.told(review))
    if found:
        yield tag("h2", "Found besides", id="found")
        yield table(("where", "finding", "taken on"), _placed(found))
    if review.blocker_s:
        yield tag("h2", "Behind a reader", id="behind")
        yield table(("where", "statement", "seen"), _placed(load.told(review)))
    if review.unexamined or review.unfilled:
        yield tag("h2", "Not examined", id="not-examined")
    if review.unexamined:
        yield _list([f"{step.revision} ({step.direction}): {why}" for step, why in review.unexamined])
    if review.unfilled:
        yield tag("p", "These tables held too few rows for a scan of them to show.")
        yield _list([f"{one.table}: {one.reason}" for one in review.unfilled])
    for revision in review.revisions:
        yield from _revision(revision)
    if review.differences:
        yield tag("h2", "What changes in the catalogue", id="catalogue")
        yield _list([phrases.difference(one) for one in review.differences])
    drawn, left_out = erd.shown(review.diagram)
    if drawn.entities:
        yield tag("h2", "Diagram", id="diagram")
        said = "+ new, - gone, ~ changed; arrows point from a foreign key to what it refers to."
        yield tag("p", said, class_="soft")
        yield tag("div", erd.svg(drawn), class_="scroll")
        if left_out:
            yield tag("p", left_out, class_="soft")
    yield tag("h2", "What this cannot see", id="cannot-see")
    yield _list(list(phrases.CANNOT_SEE))


def _placed(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Let the path in a row's first cell be broken: its file's name may be longer than what there is to say of it."""
    return [[tag("code", where), *others] for where, *others in rows]


def _navigation(review: Review) -> Safe:
    items = [link("dangerous", "Dangerous")] if review.dangers else []
    items += [link("found", "Found besides")] if review.told else []
    items += [link("behind", "Behind a reader")] if review.blocker_s else []
    items += [link("not-examined", "Not examined")] if review.unfilled or review.unexamined else []
    for one in review.revisions:
        word = phrases.waits(one.up)
        ways = {danger.direction for danger in review.dangers if danger.revision == one.revision}
        if ways:
            word = f"{word}, dangerous" if "up" in ways else f"{word}, its downgrade is dangerous"
        title = f"{one.revision} {phrases.title(one.title)}"
        items.append(
            join(link(anchor("r", one.revision), title), Safe(" "), tag("span", f"({word})", class_="soft"))
        )
    items += [link("catalogue", "What changes in the catalogue")] if review.differences else []
    items += [link("diagram", "Diagram")] if erd.shown(review.diagram)[0].entities else []
    items.append(link("cannot-see", "What this cannot see"))
    return tag("nav", tag("ul", *(tag("li", item) for item in items)))


def _danger(danger: Danger, place: int) -> Safe:
    statement = danger.statement
    where = f"{statement.file}:{statement.line}"
    word = "excused" if danger.excused else "dangerous"
    title = f"{danger.revision} {phrases.title(danger.title)} ({danger.direction})"
    return tag(
        "div",
        tag("p", tag("span", word, class_="word"), " ", link(anchor("r", danger.revision), title)),
        tag("pre", statement.sql.strip()),
        tag("ul", *(tag("li", sentence) for sentence in phrases.danger_sentences(danger)), class_="plain"),
        *(tag("p", sentence) for sentence in phrases.otherwise(danger)),
        tag("p", phrases.answer(danger)),
        *(_instead(one) for one in danger.instead),
        tag("p", where, class_="soft"),
        class_="card" if danger.excused else "card bad",
        id=anchor("danger", str(place + 1)),
    )


def _instead(safer: Safer) -> Safe:
    title = f"Instead, for {safer.table}: {count(len(safer.drafts), 'revision')}"
    drafts = [
        join(tag("p", f"{number}. {draft.title}"), tag("pre", draft.upgrade))
        for number, draft in enumerate(safer.drafts, 1)
    ]
    return tag("details", tag("summary", title), *drafts, *(tag("p", one) for one in safer.remarks))


def _revision(revision: ReviewedRevision) -> Iterator[Safe]:
    yield tag("h2", f"{revision.revision} {phrases.title(revision.title)}", id=anchor("r", revision.revision))
    yield tag("p", revision.path, class_="soft")
    answers = [("Why", revision.why), ("Locks", revision.locks), ("Undo", revision.undo)]
    given = [join(tag("dt", name), tag("dd", said)) for name, said in answers if said]
    yield (
        tag("dl", *given)
        if given
        else tag("p", "The docstring answers none of Why, Locks, Undo.", class_="soft")
    )
    yield from _step("Up", revision, revision.up)
    if revision.down is not None:
        yield from _step("Down", revision, revision.down)
    if revision.up.drops:
        yield join(tag("h3", "Going up drops"), _list(list(revision.up.drops)))
    lost = [phrases.loss(one) for one in revision.losses]
    lost += [f"{name} is kept: {sentence}" for name, sentence in revision.kept]
    if lost:
        yield join(tag("h3", "Going down loses"), _list(lost))
    for script in revision.scripts:
        note = f" ({script.note})" if script.note else ""
        yield tag("details", tag("summary", f"{script.name}{note}"), tag("pre", script.sql.strip()))


def _step(name: str, revision: ReviewedRevision, step: TracedRevision) -> Iterator[Safe]:
    told = [phrases.waits(step), duration(step.ms)] if not step.stays else []
    told += ["outside a transaction"] if not step.transactional else []
    yield tag("h3", f"{name}{': ' + ', '.join(told) if told else ''}")
    if step.stays:
        word, why = step.stays
        yield tag("p", tag("span", word, class_="word"), f" {why}")
    if step.unexamined:
        yield tag("p", tag("span", "not examined", class_="word"), f" {step.unexamined}")
    if step.depends_on_rows:
        yield tag("p", "Depends on rows: this is one path.")
    if not step.statements:
        if not step.stays:
            yield tag("p", "No statement.", class_="soft")
        return
    rows = [
        [
            str(place),
            _statement(statement.sql, dangerous=statement.dangerous),
            statement.blocks,
            told_locks(statement.locks),
            told_locks(statement.held),
            examined_effects(statement),
            duration(statement.ms),
        ]
        for place, statement in enumerate(step.statements, 1)
    ]
    ids = [anchor("s", revision.revision, step.direction, row[0]) for row in rows]
    bad = [statement.dangerous for statement in step.statements]
    yield table(_HEADERS, rows, right=(6,), whole=(2,), bad=bad, ids=ids)
    yield _timeline(step)
    opinions = [
        tag("li", link(ids[place], f"statement {place + 1}"), f": {agreement}. {sentence}")
        for place, agreement, sentence in phrases.second_opinion(revision, step.direction)
    ]
    if opinions:
        yield join(tag("h3", f"Second reader, {step.direction}"), tag("ul", *opinions))


def _statement(sql: str, *, dangerous: bool) -> Safe:
    word = join(tag("span", "dangerous", class_="word"), Safe(" ")) if dangerous else Safe("")
    line = " ".join(sql.split())
    if len(line) <= 140:
        return join(word, tag("code", line))
    short = tag("summary", tag("code", f"{line[:120]}…"))
    return join(word, tag("details", short, tag("pre", sql.strip()), class_="whole"))


def _timeline(step: TracedRevision) -> Safe:
    spans = phrases.timeline(step)
    total = max((end for *_, end in spans), default=0.0)
    if not spans or total <= 0:
        return tag("p", "Neither reads nor writes of anything that existed before wait.", class_="soft")
    bars = []
    for name, word, start, end in spans:
        kind = "bar all" if word == "reads and writes" else "bar writes"
        style = f"left: {start / total * 100:.2f}%; width: {(end - start) / total * 100:.2f}%"
        told = f"{name}: {word} wait from {duration(start)} to {duration(end)}"
        bars.append(
            join(
                tag("div", told, class_="name"),
                tag("div", tag("div", class_=kind, style=style), class_="track"),
            )
        )
    axis = tag("div", tag("span", "0 ms"), tag("span", duration(total)), class_="axis")
    return tag("div", tag("strong", "Who is blocked when"), *bars, axis, class_="bars")


def _list(items: list[str]) -> Safe:
    return tag("ul", *(tag("li", item) for item in items))
