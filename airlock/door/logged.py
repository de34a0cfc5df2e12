"""`--log FILE` for the commands that end in one document: it is appended as one line."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from airlock.words.errors import Usage
from airlock.words.secrets import scrub


def append(path: str | None, event: str, document: dict[str, Any]) -> None:
    """Append one JSON line with the time to the file; nothing for None. Raises Usage where it cannot."""
    if path is None:
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = json.dumps({"event": event, "at": now, **document}, ensure_ascii=False)
    try:
        with Path(path).open("a", encoding="utf-8") as log:
            log.write(scrub(line) + "\n")
    except OSError as error:
        raise Usage(f"--log cannot be written: {error.strerror}.") from error
