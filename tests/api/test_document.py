"""Requests made up from the OpenAPI document: the application keeps to what the document says."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as configured
from hypothesis import strategies as st

from app import conversations, tasks
from app.api.application import create_app
from app.database import make_engine, session
from app.settings import Settings
from tests.api.conftest import Person, person

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from tests.servers import Server

pytestmark = pytest.mark.proof

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


@pytest.fixture(scope="module")
def settings(server: Server, template: str) -> Iterator[Settings]:
    """Give the settings for one database that all requests share."""
    with server.database(template) as database:
        yield Settings.model_validate({"database_url": database.url, "jwt_secret": "x" * 32})


@pytest.fixture(scope="module")
def engine(settings: Settings) -> Iterator[sa.Engine]:
    made = make_engine(settings)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def alice(engine: sa.Engine, settings: Settings) -> Person:
    return person(engine, settings, "alice@example.org")


@pytest.fixture(scope="module")
def document(settings: Settings) -> Iterator[Any]:
    """Serve the application by uvicorn and read its document over HTTP."""
    import schemathesis  # here, because it takes a second, and the fast suite has no use for it

    serving = uvicorn.Server(
        uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_level="error")
    )
    thread = threading.Thread(target=serving.run)
    thread.start()
    while not serving.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = serving.servers[0].sockets[0].getsockname()[1]
    yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    serving.should_exit = True
    thread.join(20)


LABELS = [
    "GET /live",
    "GET /health",
    "GET /api/{user_id}/tasks",
    "POST /api/{user_id}/tasks",
    "GET /api/{user_id}/tasks/{task_id}",
    "PUT /api/{user_id}/tasks/{task_id}",
    "DELETE /api/{user_id}/tasks/{task_id}",
    "PATCH /api/{user_id}/tasks/{task_id}/complete",
    "GET /api/{user_id}/conversations",
    "POST /api/{user_id}/conversations",
    "GET /api/{user_id}/conversations/{conversation_id}",
    "PUT /api/{user_id}/conversations/{conversation_id}",
    "DELETE /api/{user_id}/conversations/{conversation_id}",
    "POST /api/{user_id}/conversations/{conversation_id}/messages",
]


def test_the_list_above_is_the_document(document: Any) -> None:
    """An endpoint that is added must be added to LABELS."""
    assert sorted(LABELS) == sorted(found.ok().label for found in document.get_all_operations())


@pytest.mark.parametrize(
    ("label", "mode"),
    # Nothing can be wrong with a request for life or health: they have no parameters.
    [
        (label, mode)
        for label in LABELS
        for mode in ("positive", "negative")
        if mode == "positive" or "{user_id}" in label
    ],
)
def test_answers_are_as_the_document_says(
    document: Any, label: str, mode: str, alice: Person, engine: sa.Engine
) -> None:
    """Good and bad requests, half of them the owner's: no 5xx, no undocumented status, no other body or type."""
    from schemathesis import GenerationMode, checks

    checks.load_all_checks()
    wanted: list[Any] = [checks.CHECKS.get_one(name) for name in CHECKS]
    operation = next(found.ok() for found in document.get_all_operations() if found.ok().label == label)

    @configured(
        max_examples=80,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=GenerationMode(mode)), st.booleans(), st.booleans())
    def ask(case: Any, as_owner: bool, for_one_of_theirs: bool) -> None:
        if as_owner and "{user_id}" in label:
            case.path_parameters["user_id"] = str(alice.id)
            case.headers.update(alice.headers)
            if for_one_of_theirs and "{task_id}" in label:
                with session(engine) as lent:
                    case.path_parameters["task_id"] = str(tasks.create(lent, alice.id, "one").id)
            if for_one_of_theirs and "{conversation_id}" in label:
                with session(engine) as lent:
                    case.path_parameters["conversation_id"] = str(conversations.start(lent, alice.id).id)
        answer = case.call_and_validate(checks=wanted)
        seen.add(answer.status_code)

    seen: set[int] = set()
    ask()
    if mode == "positive":
        assert seen & {200, 201, 204}, f"no request got through: {seen}"
