"""The proof that a session of env.py stands on the leased server, in the leased database."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from airlock.database.poolers import READ_ONLY, balanced
from airlock.records.errors import WrongTarget

if TYPE_CHECKING:
    from collections.abc import Callable

    from airlock.database.lease import Lease


def prove(lease: Lease) -> Callable[[Any], None]:
    """Make the check that a worker's new session runs before any statement of env.py."""

    def verify(dbapi_connection: Any) -> None:
        lease.sever_with(dbapi_connection)
        cursor = dbapi_connection.cursor()
        try:
            cursor.execute(READ_ONLY)
            (reads,) = cursor.fetchone()
            cursor.execute(f"{lease.proof_sql}, current_setting('transaction_read_only')")
            proved, writes = cursor.fetchone()
            if proved is not True:
                lease.require_in_sight()
                raise WrongTarget(
                    "env.py connected to another database than the leased one.",
                    standing="It was stopped before its first statement. Nothing changed.",
                    then="--url with the database that env.py migrates",
                )
            if reads != writes:
                raise balanced(lease.target.label)
            # Under creator= or pool= no redirect has named the session; its orphan must be recognised.
            cursor.execute(f"SET application_name = '{lease.worker_name}'")
            dbapi_connection.commit()
        except BaseException:
            with contextlib.suppress(Exception):
                dbapi_connection.rollback()
            raise
        finally:
            cursor.close()

    return verify
