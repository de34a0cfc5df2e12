"""Rights that a release has by other roles than the owner: what is revoked, and what row-level security takes away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.operations.older_release.tighter import tried

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_REFUSED = "42501"
# Whoever has what everybody has.
_ANYBODY = "airlock_anybody"
_RIGHTS = """
SELECT c.oid::bigint, coalesce(r.rolname, ''), a.privilege_type, c.relrowsecurity,
  ARRAY(SELECT polname || polcmd::text || polpermissive || polroles::text || coalesce(pg_get_expr(polqual, polrelid), '')
        || coalesce(pg_get_expr(polwithcheck, polrelid), '') FROM pg_policy WHERE polrelid = c.oid ORDER BY 1)::text
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relkind IN ('r', 'p', 'v') AND c.oid >= 16384 AND a.grantee <> c.relowner AND NOT coalesce(r.rolsuper, false)
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class Rights:
    """What other roles may do with one table, by role, and the rules of its rows."""

    by_role: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rules: str = ""


def read_rights(cursor: Any) -> dict[int, Rights]:
    """Read what each table grants to others than its owner. One query of the catalogue."""
    cursor.execute(_RIGHTS)
    found: dict[int, tuple[dict[str, set[str]], str]] = {}
    for oid, role, privilege, secured, policies in cursor.fetchall():
        roles, _ = found.setdefault(oid, ({}, f"{secured} {policies if secured else ''}"))
        roles.setdefault(role, set()).add(privilege)
    return {
        oid: Rights({role: frozenset(these) for role, these in roles.items()}, rules)
        for oid, (roles, rules) in found.items()
    }


def refusals(
    cursor: Any, before: Rights, statements: Mapping[str, str], count: str
) -> Iterator[tuple[str, str, Exception | None]]:
    """Yield (role, statement shown, refusal) of what a role may do no more; None: it gets no row of those that are there.

    `statements` are as shown and as sent, `count` tells whether the table has a row. Inside a transaction that is undone;
    a server where roles cannot be taken on gives no answer.
    """
    for role, privileges in before.by_role.items():
        name = role or _ANYBODY
        if not role:
            cursor.execute("SAVEPOINT airlock_role")
            if tried(cursor, f"CREATE ROLE {_ANYBODY}") is not None:
                continue
            cursor.execute(f"CREATE ROLE {_ANYBODY}")
        taken_on = f"SET LOCAL ROLE {quoted(name)}"
        for shown, sql in statements.items():
            if shown.partition(" ")[0] in privileges and tried(cursor, taken_on) is None:
                error = tried(cursor, f"{taken_on}; {sql}")
                if error is not None and client.told(error, "sqlstate") == _REFUSED:
                    yield role or "PUBLIC", shown, error
                elif error is None and shown.startswith("SELECT") and _hidden(cursor, taken_on, count):
                    yield role or "PUBLIC", shown, None
        if not role:
            cursor.execute("ROLLBACK TO SAVEPOINT airlock_role")


def _hidden(cursor: Any, taken_on: str, count: str) -> bool:
    """Tell whether a role sees no row where the owner sees some."""
    answers = []
    for role in ("", f"{taken_on}; "):
        cursor.execute("SAVEPOINT airlock_hidden")
        cursor.execute(f"{role}{count}")
        answers.append(bool(cursor.fetchone()[0]))
        cursor.execute("ROLLBACK TO SAVEPOINT airlock_hidden")
    return answers == [True, False]
