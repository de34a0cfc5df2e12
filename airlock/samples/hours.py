"""Times in the hours that a time zone skips or has twice: a change between local time and instants loses them."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from airlock.drivers import client

if TYPE_CHECKING:
    from collections.abc import Iterable

# A zone as sources spell it: by its place anywhere, by another name behind the words that want one.
_PLACE = re.compile(r"['\"]([A-Z][A-Za-z]+(?:/[A-Z][A-Za-z_+-]+){1,2})['\"]")
_BEHIND = re.compile(r"(?i:time\s*zone|timezone\s*\()\s*(?:=|to)?\s*'([A-Za-z0-9_/+-]+)'")
# The settings of sessions are seldom in a source: two zones with rules of their own stand for them.
_USUAL = ("Europe/Berlin", "America/New_York")
_MOST = 4
# The half hours of each day in whose course the zone's distance from UTC changes: which of them are skipped, which come twice?
_HOURS = """
SELECT min(local)  FILTER (WHERE (local AT TIME ZONE z) AT TIME ZONE z <> local)::text,
  min(instant) FILTER (WHERE (instant AT TIME ZONE z) AT TIME ZONE z <> instant)::text
FROM (SELECT %s::text AS z) AS named, LATERAL (
  SELECT day FROM (
    SELECT day, (day AT TIME ZONE z) - (day AT TIME ZONE 'UTC') AS here,
      lead((day AT TIME ZONE z) - (day AT TIME ZONE 'UTC')) OVER (ORDER BY day) AS there
    FROM (SELECT timestamptz '2026-01-01 00:00+00' + i * interval '1 day' FROM generate_series(0, 365) AS i) AS d (day)) AS o
  WHERE here <> there) AS changing, LATERAL (
  SELECT day + i * interval '30 minutes', (day AT TIME ZONE z) + i * interval '30 minutes'
  FROM generate_series(0, 47) AS i) AS t (instant, local)"""


def zones_named(sources: Iterable[str]) -> tuple[str, ...]:
    """Find what may be names of time zones in sources; the server has the last word."""
    found = {name for text in sources for pattern in (_PLACE, _BEHIND) for name in pattern.findall(text)}
    return tuple(sorted(found))


def odd_hours(connection: client.Connection, zones: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """Give a local time that a zone skips and an instant that it shows twice, as SQL by type: of `zones`, else of usual ones.

    Asks in statements that commit by themselves: a name that is no zone's is passed over.
    """
    found = []
    with connection.cursor() as cursor:
        cursor.execute("SHOW TimeZone")
        for zone in dict.fromkeys([*zones, str((cursor.fetchone() or ("",))[0]), *_USUAL]):
            with contextlib.suppress(client.Error):  # no zone has that name
                cursor.execute(_HOURS, (zone,))
                found.append(cursor.fetchone() or (None, None))
    return {
        type_: tuple(f"'{one}'" for one in dict.fromkeys(row[place] for row in found) if one is not None)[
            :_MOST
        ]
        for place, type_ in enumerate(("timestamp without time zone", "timestamp with time zone"))
    }
