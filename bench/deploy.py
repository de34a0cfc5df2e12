"""Serve 100 users through PgBouncer, in transaction mode, while `airlock upgrade` migrates the table that they use.

    python -m bench.deploy

Four revisions more than there are: a column, an index built concurrently, and NOT NULL in two steps, the way `airlock
revision` writes them. SECONDS=60 of traffic without a migration come first, then as many with one in the middle: of both
the 99th percentile is printed, of the second also that of the requests which met the migration. A request that fails
is a bound that is missed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.scratch.embedded import available, scratch_cluster
from app.database import make_engine
from app.settings import Settings
from bench.api import CONCURRENT, TASKS, USERS, Http, answering, fill, served, told
from bench.mix import Load, run
from bench.wire import Wire
from tests.history import ROOT, revisions
from tests.pooler import PROGRAM, WHY_NOT, pooled
from tests.projects_copy import ProjectCopy
from tests.servers import Database

if TYPE_CHECKING:
    from uuid import UUID

    from bench.mix import Owned, Way

SECONDS = float(os.environ.get("SECONDS") or 60)
STEPS = {
    "add a column": "op.add_column('task', sa.Column('kind', sa.String(20), server_default='plain'), schema='phase2')",
    "index it": """with op.get_context().autocommit_block():
        op.create_index('ix_task_kind', 'task', ['user_id', 'kind'], schema='phase2', postgresql_concurrently=True)""",
    "require it of new rows": """op.create_check_constraint(
        'kind_present', 'task', 'kind IS NOT NULL', schema='phase2', postgresql_not_valid=True)""",
    "require it of every row": """op.execute('ALTER TABLE phase2.task VALIDATE CONSTRAINT ck_task_kind_present')
    op.alter_column('task', 'kind', nullable=False, schema='phase2')
    op.drop_constraint(op.f('ck_task_kind_present'), 'task', schema='phase2')""",
}


class Dated:
    """Another way, with the moment at which each of its requests ended and how long it took."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.seen: list[tuple[float, float]] = []

    async def __call__(self, operation: str, user_id: UUID, task_id: UUID) -> None:
        """Do one operation."""
        begun = time.perf_counter()
        try:
            await self._way(operation, user_id, task_id)
        finally:
            now = time.perf_counter()
            self.seen.append((now, now - begun))

    def between(self, begun: float, ended: float) -> Load:
        """Tell of the requests that had not ended when something began, nor begun when it ended."""
        met = tuple(took for at, took in self.seen if at >= begun and at - took <= ended)
        return Load(len(met), ended - begun, (), met)


def write_steps(directory: Path) -> None:
    """Write the revisions behind the head of a copy of the project."""
    ProjectCopy.make(directory)
    below = revisions()[-1]
    for number, (title, upgrade) in enumerate(STEPS.items()):
        name = f"beef0000000{number}"
        (directory / "alembic" / "versions" / f"{name}.py").write_text(
            f'"""{title}"""\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
            f"revision = {name!r}\ndown_revision = {below!r}\nbranch_labels = depends_on = None\n\n\n"
            f"def upgrade():\n    {upgrade}\n"
        )
        below = name


async def traffic(settings: Settings, owned: Owned, directory: Path, direct: str) -> tuple[Load, Load, Load]:
    """Run the users twice; return how it went without the migration, with it, and while it ran."""
    with served(settings) as (port, _):
        async with Wire("127.0.0.1", port) as wire:
            await answering(wire)
            way = Dated(Http(wire, settings.jwt_secret))
            await run(way, owned, users=CONCURRENT, seconds=2)  # connections and caches
            quiet = await run(way, owned, users=CONCURRENT, seconds=SECONDS)
            using = asyncio.create_task(run(way, owned, users=CONCURRENT, seconds=SECONDS))
            await asyncio.sleep(SECONDS / 4)
            begun = time.perf_counter()
            migrating = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "airlock", "upgrade", "-c", str(directory / "alembic.ini"), "--url", direct,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
            )  # fmt: skip
            said, _ = await migrating.communicate()
            ended = time.perf_counter()
            print(said.decode().strip())
            if migrating.returncode:
                raise SystemExit(migrating.returncode)
            return quiet, await using, way.between(begun, ended)


def main() -> int:
    """Measure once; 1 where a request failed."""
    if PROGRAM is None:
        print(WHY_NOT)
        return 3
    major = max(available())
    with scratch_cluster(major) as cluster, tempfile.TemporaryDirectory() as name:
        write_steps(Path(name))
        direct = cluster.url("postgres")
        secret = secrets.token_urlsafe(48)
        engine = make_engine(Settings.model_validate({"database_url": direct, "jwt_secret": secret}))
        print(
            f"PostgreSQL {major} behind PgBouncer, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
            f"{USERS * TASKS:,} tasks, {CONCURRENT} users, {SECONDS:.0f} s each"
        )
        owned = fill(engine)
        engine.dispose()
        with pooled(Database("postgres", direct), pool_size=10) as url:
            settings = Settings.model_validate(
                {"database_url": url, "jwt_secret": secret, "database_pooled": True}
            )
            quiet, during, met = asyncio.run(traffic(settings, owned, Path(name), direct))
    print(f"quiet:                 {told(quiet)}")
    print(f"with the migration:    {told(during)}")
    print(
        f"while it ran, {met.seconds:.1f} s: p99 {met.percentile(0.99) * 1e3:.0f} ms, "
        f"longest {met.percentile(1) * 1e3:.0f} ms, {met.requests:,} requests"
    )
    errors = [*quiet.errors, *during.errors]
    print("\n".join(errors[:5]) if errors else "no failed request")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
