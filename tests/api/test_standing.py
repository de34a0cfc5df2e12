"""A database that is not where this code expects it to be."""

from __future__ import annotations

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
    assert answer.json() == {
        "detail": f"The database is behind this code: it is at {BEFORE}, this code expects {HEAD}. Try: make migrate"
    }
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


async def test_health_tells_a_database_that_is_ahead(client: httpx.AsyncClient, engine: sa.Engine) -> None:
    """A revision that this code does not know was applied by newer code."""
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE phase2.alembic_version SET version_num = 'f00df00df00d'")
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {
        "detail": f"The database is ahead of this code: it is at f00df00df00d, this code expects {HEAD}."
    }


async def test_requests_to_a_schema_that_went_away_say_so(
    client: httpx.AsyncClient, engine: sa.Engine
) -> None:
    """503 with the reason, for health too, when the tables are no longer there."""
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA phase2 CASCADE")
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert "it is at no revision" in answer.json()["detail"]


async def test_the_application_starts_on_no_other_database(
    settings: Settings, history: History, engine: sa.Engine
) -> None:
    """Behind, ahead and empty are each refused in one line that names both revisions."""
    history.downgrade(BEFORE)
    assert f"behind this code: it is at {BEFORE}, this code expects {HEAD}" in await refusal(settings)
    history.downgrade("base")
    assert f"behind this code: it is at no revision, this code expects {HEAD}" in await refusal(settings)
    history.upgrade()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE phase2.alembic_version SET version_num = 'f00df00df00d'")
    assert "ahead of this code: it is at f00df00df00d" in await refusal(settings)


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
            connection.exec_driver_sql("UPDATE phase2.alembic_version SET version_num = 'f00df00df00d'")
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
        "ahead": f"The database is ahead of this code: it is at f00df00df00d, this code expects {HEAD}.",
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
    assert expected.difference(("b2", "a2")) is None
    assert "behind" in str(expected.difference(("a2",)))
    assert "behind" in str(expected.difference(()))
    assert "ahead" in str(expected.difference(("a2", "c1")))


async def refusal(settings: Settings) -> str:
    """Start the application in vain; return what it said."""
    with pytest.raises(Refusal) as caught:
        async with served(settings):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)
