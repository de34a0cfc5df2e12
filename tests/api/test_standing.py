"""A database that is not where this code expects it to be."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from app.api import standing
from app.api.application import Refusal, create_app
from tests.api.conftest import served
from tests.history import ROOT, revisions

if TYPE_CHECKING:
    import httpx
    import sqlalchemy as sa
    from starlette.types import Message

    from app.settings import Settings
    from tests.history import History

HEAD, BEFORE = revisions()[-1], revisions()[-2]


async def test_health_names_the_head_that_the_database_is_at(client: httpx.AsyncClient) -> None:
    """200, without a token."""
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "heads": [HEAD]})


async def test_health_says_which_revision_is_missing(client: httpx.AsyncClient, history: History) -> None:
    """503 while the database is behind, 200 again when it has caught up; the application runs on."""
    history.downgrade(BEFORE)
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["detail"] == (
        f"The database is behind this code: it is at {BEFORE}, this code expects {HEAD}. Try: make migrate"
    )
    history.upgrade()
    assert (await client.get("/health")).status_code == 200


async def test_a_process_is_alive_whatever_the_database_says(
    client: httpx.AsyncClient, engine: sa.Engine
) -> None:
    """`/live` is 200 where `/health` is 503."""
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA phase2 CASCADE")
    answers = [await client.get(path) for path in ("/live", "/health")]
    assert [answer.status_code for answer in answers] == [200, 503]
    assert answers[0].json() == {"status": "ok"}


NEWER = "UPDATE phase2.alembic_version SET version_num = 'f00df00df00d'"
KEPT = [
    "CREATE TABLE phase2.note (id uuid PRIMARY KEY, body text NOT NULL)",
    "ALTER TABLE phase2.task ADD due_at timestamptz",
    "ALTER TABLE phase2.task ADD estimate int NOT NULL DEFAULT 1 CHECK (estimate > 0)",
    "ALTER TABLE phase2.task ADD number bigint GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE phase2.task ADD short text GENERATED ALWAYS AS (left(title, 10)) STORED",
    "CREATE INDEX ON phase2.task (completed)",
    "ALTER TABLE phase2.task DROP CONSTRAINT ck_task_priority_range",
    "ALTER TABLE phase2.message ALTER content DROP NOT NULL",
]
LOST = {
    "ALTER TABLE phase2.task DROP COLUMN description": "task.description is gone",
    "ALTER TABLE phase2.task RENAME description TO body": "task.description is gone",
    "DROP TABLE phase2.message": "message is gone",
    "ALTER TABLE phase2.task RENAME TO todo": "task is gone",
    "ALTER TABLE phase2.task ADD kind text; ALTER TABLE phase2.task ALTER kind SET NOT NULL": (
        "task.kind must be given and has no default"
    ),
    "ALTER TABLE phase2.task ALTER completed DROP DEFAULT": "task.completed has lost its default",
}
UNTOLD = {
    "ALTER TABLE phase2.task ALTER title TYPE text": "task.title is text now",
    "ALTER TABLE phase2.conversation ALTER title SET NOT NULL": "conversation.title must not be null now",
    "ALTER TABLE phase2.task ADD CONSTRAINT short CHECK (length(title) < 100)": "task has short",
    "ALTER TABLE phase2.task ADD CONSTRAINT once UNIQUE (user_id, title)": "task has once",
    "CREATE TRIGGER notices AFTER INSERT ON phase2.task EXECUTE FUNCTION tsvector_update_trigger()": "task has notices",
}


@pytest.mark.parametrize("change", KEPT)
async def test_a_database_that_is_ahead_and_keeps_our_statements_is_served(
    change: str,
    client: httpx.AsyncClient,
    engine: sa.Engine,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """200 without a word in the log, and a restart starts."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"{NEWER}; {change}")
    for asked in (client, None):
        async with contextlib.nullcontext(asked) if asked is not None else served(settings) as asking:
            answer = await asking.get("/health")
            assert (answer.status_code, answer.json()) == (200, {"status": "ok", "heads": ["f00df00df00d"]})
    assert caplog.messages == []


@pytest.mark.parametrize("change", LOST)
async def test_a_database_that_is_ahead_and_has_lost_what_we_need_is_not_served(
    change: str, client: httpx.AsyncClient, engine: sa.Engine, settings: Settings
) -> None:
    """503 with the reason; a restart is refused with the same line."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"{NEWER}; {change}")
    answer = await client.get("/health")
    assert answer.status_code == 503
    said = answer.json()["detail"]
    assert said == (
        f"The database is ahead of this code: it is at f00df00df00d, this code expects {HEAD}, "
        f"whose statements do not run there: {LOST[change]}."
    )
    assert await refusal(settings) == said


@pytest.mark.parametrize("change", UNTOLD)
async def test_what_cannot_be_told_of_a_database_that_is_ahead_is_served_and_logged_once(
    change: str, client: httpx.AsyncClient, engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """200, with one warning however often it is asked."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"{NEWER}; {change}")
    for _ in range(3):
        assert (await client.get("/health")).status_code == 200
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 1
    assert warned[0].endswith(f"served all the same: {UNTOLD[change]}.")


async def test_requests_to_a_schema_that_went_away_say_so(
    client: httpx.AsyncClient, engine: sa.Engine
) -> None:
    """503 with the reason, for health too, when the tables are no longer there."""
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA phase2 CASCADE")
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert "it is at no revision" in answer.json()["detail"]


async def test_the_application_starts_on_no_other_database(settings: Settings, history: History) -> None:
    """Behind and empty are each refused in one line that names both revisions."""
    history.downgrade(BEFORE)
    assert f"behind this code: it is at {BEFORE}, this code expects {HEAD}" in await refusal(settings)
    history.downgrade("base")
    assert f"behind this code: it is at no revision, this code expects {HEAD}" in await refusal(settings)


async def test_a_database_that_is_not_there_is_refused_by_name_of_nothing_secret(settings: Settings) -> None:
    """One line; neither URL nor password."""
    gone = SecretStr("postgresql://user:hunter2@127.0.0.1:1/none")
    assert (
        await refusal(settings.model_copy(update={"database_url": gone})) == "The database cannot be reached."
    )


async def test_the_server_is_given_the_line_and_no_traceback(settings: Settings, history: History) -> None:
    """What uvicorn logs when the application does not start is exactly the refusal."""
    history.downgrade(BEFORE)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(Refusal):
        await create_app(settings)(
            {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send
        )
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert sent[0]["message"].startswith("The database is behind this code")
    assert "\n" not in sent[0]["message"]


@pytest.mark.proof
@pytest.mark.parametrize("where", ["behind", "ahead", "no database", "no setting"])
def test_uvicorn_ends_with_one_line_of_ours(
    settings: Settings, history: History, engine: sa.Engine, where: str
) -> None:
    """Exit code other than 0, the reason in one line, no traceback, no password."""
    if where == "no setting" and (ROOT / ".env").exists():
        pytest.skip("there is a .env here")
    url = settings.database_url.get_secret_value()
    if where == "behind":
        history.downgrade(BEFORE)
    elif where == "ahead":
        with engine.begin() as connection:
            connection.exec_driver_sql(f"{NEWER}; DROP TABLE phase2.message")
    elif where == "no database":
        url = "postgresql://user:hunter2@127.0.0.1:1/none"
    ended = subprocess.run(
        [sys.executable, "-m", "uvicorn", "--port", "0", "--log-level", "error", "app.api.main:app"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "JWT_SECRET": "x" * 32,
            "DATABASE_URL": "" if where == "no setting" else url,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = {
        "behind": f"The database is behind this code: it is at {BEFORE}, this code expects {HEAD}. Try: make migrate",
        "ahead": f"The database is ahead of this code: it is at f00df00df00d, this code expects {HEAD}, whose",
        "no database": "The database cannot be reached.",
        "no setting": "DATABASE_URL is not set",
    }[where]
    assert ended.returncode in {2, 3}
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr


def test_two_heads_are_compared_as_a_set() -> None:
    """One of two heads is behind; an older and an unknown one is ahead."""
    expected = standing.Expected(frozenset({"a2", "b2"}), frozenset({"a1", "a2", "b1", "b2"}))
    assert (expected.behind(("b2", "a2")), expected.ahead(("b2", "a2"))) == (None, None)
    for current in (("a2",), (), ("a1", "b2")):
        assert "behind" in str(expected.behind(current))
        assert expected.ahead(current) is None
    assert expected.behind(("a2", "c1")) is None
    assert "ahead" in str(expected.ahead(("a2", "c1")))


async def refusal(settings: Settings) -> str:
    """Start the application in vain; return what it said."""
    with pytest.raises(Refusal) as caught:
        async with served(settings):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)
