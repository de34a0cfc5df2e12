"""`--sql`: what Alembic's own offline mode writes, with our errors."""

from __future__ import annotations

import io
import traceback
from typing import TYPE_CHECKING

from alembic import command
from alembic.util.exc import CommandError

from airlock.database.server_errors import classify, first_line
from airlock.project import flask_application
from airlock.project.output import to_standard_error
from airlock.records.errors import AirlockError, HistoryFault, RevisionFailed, Usage
from airlock.records.upgrade import UP

if TYPE_CHECKING:
    from airlock.project.project import Project


def _raised_in(project: Project, error: BaseException) -> str | None:
    """Name the revision that an exception comes out of; None where none has a part in it."""
    files = {frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)}
    return next((one.revision for one in project.revisions() if str(one.path) in files), None)


def write_sql(project: Project, target: str, direction: str) -> str:
    """Write the SQL of a run. No database is contacted; env.py runs in offline mode."""
    buffer = io.StringIO()
    project.config.output_buffer = buffer
    if direction == UP and target == "head" and len(project.heads) > 1:
        raise HistoryFault(
            f"The history has {len(project.heads)} heads: {', '.join(project.heads)}.",
            then="airlock upgrade heads",
        )
    try:
        with flask_application.around(project.script), to_standard_error():
            (command.upgrade if direction == UP else command.downgrade)(project.config, target, sql=True)
    except CommandError as error:
        raise Usage(f"{first_line(error).rstrip('.')}.") from error
    except SystemExit as stopped:
        raise Usage(f"env.py stopped by itself: {stopped.code}") from stopped
    except AirlockError:
        raise
    except Exception as error:
        revision = _raised_in(project, error)
        if revision is None:
            raise classify(error) from error
        raise RevisionFailed(
            f"{revision} cannot be written as SQL, it asks the database: {first_line(error) or type(error).__name__}",
            then="--dry-run in place of --sql, which applies it in scratch and prints what it sends",
        ) from error
    return buffer.getvalue()
