"""A revision's docstring: what the trace saw takes the place of what was expected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.acts.revise.directives import fill

if TYPE_CHECKING:
    from pathlib import Path

    from airlock.words.locks import LockMode
    from airlock.words.trace import TracedRevision, TraceReport

# One answer of the docstring: from its word to the next one's, or to a blank line.
_ANSWER = r"^{0}:.*?(?=\n(?:Why|Locks|Undo):|\n\s*\n|\"\"\")"
_UNUSED = "import sqlalchemy as sa\n"


def observed(path: Path, revision: str, report: TraceReport) -> None:
    """Write into a revision's file what its upgrade was seen to lock, and drop an import it does not use."""
    step = next((one for one in report.revisions if one.revision == revision and one.direction == "up"), None)
    text = path.read_text()
    if _UNUSED in text and not re.search(r"\bsa\.", text.replace(_UNUSED, "")):
        text = text.replace(_UNUSED, "", 1)
    if step is not None:
        told = fill("Locks", locks(step, report))
        text = re.sub(_ANSWER.format("Locks"), lambda _: told, text, count=1, flags=re.DOTALL | re.MULTILINE)
    path.write_text(text)


def locks(step: TracedRevision, report: TraceReport) -> str:
    """Say what a step was seen to lock, scan and rewrite."""
    strongest: dict[str, LockMode] = {}
    for statement in step.statements:
        for lock in statement.locks:
            mine = strongest.get(lock.object)
            if mine is None or lock.mode.strength > mine.strength:
                strongest[lock.object] = lock.mode
    by_mode: dict[LockMode, list[str]] = {}
    for name, mode in sorted(strongest.items()):
        by_mode.setdefault(mode, []).append(name)
    modes = sorted(by_mode.items(), key=lambda pair: -pair[0].strength)
    told = "; ".join(f"{mode} on {', '.join(names)}" for mode, names in modes) or "none on what was there"
    did = [f"rewrites {name}" for name in dict.fromkeys(one for it in step.statements for one in it.rewrites)]
    did += [f"scans {name}" for name in dict.fromkeys(one for it in step.statements for one in it.scans)]
    danger = any(statement.dangerous for statement in step.statements)
    how = ", DANGEROUS: others wait meanwhile" if danger else ", while reads and writes go on" if did else ""
    work = f"{' and '.join(did)}{how}" if did else "no scan, no rewrite"
    outside = "" if step.transactional else ". Outside a transaction"
    return f"{told}; {work}{outside}. Seen on PostgreSQL {report.server_version}"
