"""What stands in a database before the first revision: SQL of the project's that every scratch database begins with.

Many histories start on tables that something else has made: `create_all` of an application, another tool's history, a
database administrator. The file is the project's own; it runs as the ordinary owner, in one transaction.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.database import missing
from airlock.database.server_errors import first_line
from airlock.drivers import client
from airlock.project.settings import BEFORE
from airlock.records.errors import NotExamined, Usage
from airlock.records.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Callable

    from airlock.records.shared import Shared

# pg_dump writes these two for psql; no server knows them.
_OF_PSQL = re.compile(r"^\\(?:un)?restrict\b.*$", re.MULTILINE)
_MOST_SHARED = 50


def apply(url: str, verify: Callable[[Any], None], ensure: Callable[[Shared], object]) -> None:
    """Run the file that AIRLOCK_BEFORE names in a new scratch database, and commit; nothing where it names none.

    `verify` refuses a connection that has come elsewhere. Roles and tablespaces that the file names are made by `ensure`.
    Raises Usage where it cannot be read, NotExamined where the server refuses it.
    """
    named = os.environ.get(BEFORE)
    if not named:
        return
    file = Path(named)
    try:
        text = _OF_PSQL.sub("", file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise Usage(f"before: {file.name} cannot be read: {said}.") from error
    for _ in range(_MOST_SHARED):
        wanted = _run(url, verify, file.name, text)
        if wanted is None:
            return
        ensure(wanted)


def _run(url: str, verify: Callable[[Any], None], name: str, text: str) -> Shared | None:
    """Run the text; name the role or tablespace that it lacked, and for which it was undone."""
    with contextlib.closing(client.connect_by_url(url)) as connection:
        verify(connection)
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
            connection.commit()
        except client.Error as error:
            lacks = missing.shared(str(error))
            if lacks is not None:
                return lacks
            from airlock.scratch import installations

            lacked = missing.extension(str(error))
            raise NotExamined(
                f"before: {name} does not run in scratch: {scrub(first_line(error))}",
                then=installations.line(lacked)
                if lacked
                else "a file of plain SQL, such as pg_dump --schema-only --no-owner --no-privileges writes",
            ) from error
    return None
