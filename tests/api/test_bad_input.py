"""What each endpoint answers to what it should not be sent: problems of RFC 9457, with ids, and nothing of what was sent."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from app.api.application import create_app
from app.api.bodies import LIMIT
from tests.api.conftest import Person, client_of, served

if TYPE_CHECKING:
    import httpx
    import sqlalchemy as sa

    from app.settings import Settings

SECRET = "hunter2-in-the-request"
TITLE = b'{"title": "Water"}'
JSON = {"Content-Type": "application/json"}
# method, path, headers, body -> status. {task} and {talk} are of the user; {tasks} and {talks} the lists.
Row = tuple[str, str, dict[str, str], bytes, int]
LISTS = ("{tasks}", "{talks}", "{talk}")
WRITING = (
    ("POST", "{tasks}"),
    ("PUT", "{task}"),
    ("POST", "{talks}"),
    ("PUT", "{talk}"),
    ("POST", "{talk}/messages"),
)
KINDS = (
    "text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=latin-1", "json", SECRET,
)  # fmt: skip
NO_TASKS = (b"", b"{", b"[]", b'"x"', b"null", b'{"title": 1}', b'{"titel": "x"}')
NO_TEXT = (
    b'{"title": "\\u0000"}',
    b'{"title": "\\ud800"}',
    b'{"title": " "}',
    b'{"title": "' + b"x" * 201 + b'"}',
)
UTF_16_AND_32 = ("utf-16", "utf-16-le", "utf-16-be", "utf-32")
NO_PRIORITIES = (b"0", b"5", b"1.5", b"1e400", b"-1", b"NaN", b"true", b'"1"')
MESSAGE = b'{"role": "user", "content": "x"}'
NO_MESSAGES = (
    b'{"role": "user"}', b'{"role": "owner", "content": "x"}', b'{"role": "user", "content": ""}',
    b'{"role": "user", "content": "\\u0000"}', b'{"role": "user", "content": "\\udfff"}', b'{"role": ["user"], "content": "x"}',
)  # fmt: skip
TOO_LARGE = b'{"title": "' + b"x" * LIMIT + b'"}'
ZIPPED = JSON | {"Content-Encoding": "gzip"}
TABLE: list[Row] = [
    # cursors, limits, choices
    *(("GET", f"{one}?after={after}", {}, b"", 422) for one in LISTS for after in (SECRET, "", "f" * 32, "%00", "%FF")),
    *(("GET", f"{one}?limit={limit}", {}, b"", 422) for one in LISTS for limit in ("0", "101", "-1", "x", "1e3")),
    ("GET", "{tasks}?status=lost", {}, b"", 422),
    ("GET", "{talk}?backwards=perhaps", {}, b"", 422),
    # ids
    *((method, f"{one}/{SECRET}", JSON, TITLE, 422) for method in ("GET", "PUT", "DELETE") for one in LISTS[:2]),
    *((method, f"{one}/{uuid4()}", JSON, TITLE, 404) for method in ("GET", "PUT", "DELETE") for one in LISTS[:2]),
    ("PATCH", f"{{tasks}}/{uuid4()}/complete", {}, b"", 404),
    ("POST", f"{{talks}}/{uuid4()}/messages", JSON, MESSAGE, 404),
    ("GET", f"/api/{SECRET}/tasks", {}, b"", 422),
    ("POST", f"/api/{SECRET}/tasks", JSON, TITLE, 422),
    ("PATCH", f"{{tasks}}/{SECRET}/complete", {}, b"", 422), ("POST", f"{{talks}}/{SECRET}/messages", JSON, MESSAGE, 422),
    ("GET", f"/api/{SECRET}/conversations", {}, b"", 422), ("POST", f"/api/{SECRET}/conversations", JSON, TITLE, 422),
    *(("GET", f"{one}/{id_}", {}, b"", 422) for one in LISTS[:2] for id_ in ("%00", "%FF", "1", "%C3%A9")),
    # methods and paths
    ("DELETE", "{tasks}", {}, b"", 405), ("PUT", "{tasks}", JSON, TITLE, 405), ("PATCH", "{task}", JSON, TITLE, 405),
    ("POST", "{task}", JSON, TITLE, 405), ("GET", "{task}/complete", {}, b"", 405), ("GET", "{talk}/messages", {}, b"", 405),
    ("DELETE", "{talks}", {}, b"", 405), ("PUT", "{talks}", JSON, TITLE, 405), ("PATCH", "{talk}", JSON, TITLE, 405),
    ("POST", "{talk}", JSON, TITLE, 405), ("PUT", "{talk}/messages", JSON, MESSAGE, 405), ("POST", "/live", {}, b"", 405),
    *(("OPTIONS", one, {}, b"", 405) for one in ("{tasks}", "{task}", "{talks}", "{talk}", "{talk}/messages")),
    ("POST", "/health", {}, b"", 405), ("GET", "/nowhere", {}, b"", 404), ("GET", "{tasks}/a/b/c", {}, b"", 404),
    # content types and encodings
    *((*place, {"Content-Type": kind}, TITLE, 415) for place in WRITING for kind in KINDS),
    ("PATCH", "{task}/complete", {"Content-Type": "text/plain"}, TITLE, 415),
    *((*place, ZIPPED, gzip.compress(TITLE), 415) for place in WRITING),
    *((*place, JSON, body, 400) for place in WRITING for body in (b"\xff", '{"title": "\u00e9"}'.encode("latin-1"))),
    *((*place, JSON, TITLE.decode().encode(name), 400) for place in WRITING for name in UTF_16_AND_32),
    *((*place, JSON, body, 400) for place in WRITING for body in (b"[" * 100_000, b"9" * 5000)),
    # sizes
    *((*place, JSON, TOO_LARGE, 413) for place in (*WRITING, ("PATCH", "{task}/complete"))),
    ("POST", "{talk}/messages", JSON, b'{"role": "user", "content": "' + b"x" * 100_001 + b'"}', 422),
    # what is no JSON, or not what is asked for
    *((*place, JSON, body, 422) for place in WRITING for body in (*NO_TASKS, *NO_TEXT)),
    *(("PUT", "{talk}", JSON, body, 422) for body in (b"{}", b'{"title": ""}')),
    *(("POST", "{tasks}", JSON, b'{"title": "x", "priority": %s}' % number, 422) for number in NO_PRIORITIES),
    *(("POST", "{talk}/messages", JSON, body, 422) for body in NO_MESSAGES),
    # keys of requests
    *(
        (*place, JSON | {"Idempotency-Key": key}, TITLE, 422)
        for place in WRITING if place[0] == "POST" for key in ("", SECRET + " x", "x" * 256, "a b", "\t")
    ),
    # preconditions
    *(
        (method, one, JSON | {"If-Match": tag}, TITLE, 412)
        for method in ("PUT", "DELETE") for one in ("{task}", "{talk}") for tag in ('"0"', "", "x", 'W/"0"', SECRET)
    ),
    ("PATCH", "{task}/complete", {"If-Match": '"0"'}, b"", 412),
]  # fmt: skip


async def test_each_endpoint_answers_bad_input_as_the_table_says(
    client: httpx.AsyncClient, alice: Person
) -> None:
    """A problem with an id, the one of the header too; nothing that was sent stands in it, and nothing is changed."""
    task = (await client.post(alice.tasks, headers=alice.headers, json={"title": "one"})).headers["Location"]
    talk = (await client.post(alice.conversations, headers=alice.headers, json={"title": "one"})).headers[
        "Location"
    ]
    before = [
        (await client.get(path, headers=alice.headers)).json() for path in (alice.tasks, alice.conversations)
    ]
    places = {"tasks": alice.tasks, "task": task, "talks": alice.conversations, "talk": talk}
    for method, path, headers, body, status in TABLE:
        answer = await client.request(
            method, path.format(**places), headers=alice.headers | headers, content=body
        )
        case = (method, path, headers, body[:40], answer.text)
        assert answer.status_code == status, case
        problem(answer)
        assert SECRET not in answer.text, case
    after = [
        (await client.get(path, headers=alice.headers)).json() for path in (alice.tasks, alice.conversations)
    ]
    assert before == after


def problem(answer: httpx.Response) -> dict[str, Any]:
    """Hold an answer to RFC 9457."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert said.keys() - {"errors"} == {"type", "title", "status", "detail", "request_id"}
    assert (said["status"], said["request_id"]) == (answer.status_code, answer.headers["X-Request-ID"])
    assert isinstance(said["detail"], str) and said["title"]
    return said


async def test_a_request_has_the_id_it_brings_along_or_a_random_one(settings: Settings) -> None:
    """Only what can stand in a log and a header; the answer to a success carries it too."""
    async with client_of(create_app(settings)) as client:
        for given, kept in (
            ("abc-1.2_3", True),
            ("a b", False),
            ("x" * 65, False),
            ("", False),
            ("a;b", False),
        ):
            for path in ("/live", "/nowhere"):
                answer = await client.get(path, headers={"X-Request-ID": given})
                assert (answer.headers["X-Request-ID"] == given) is kept
                assert answer.headers["X-Request-ID"]
        ids = {(await client.get("/live")).headers["X-Request-ID"] for _ in range(5)}
    assert len(ids) == 5


async def test_an_error_that_nobody_foresaw_tells_no_sql_and_no_secret(
    client: httpx.AsyncClient, alice: Person, engine: sa.Engine
) -> None:
    """The database fails in a way of its own: 500 with an id, without a word of the statement or its values."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'secret of the schema' USING ERRCODE = 'XX000'; END$$;"
            "CREATE TRIGGER fails BEFORE INSERT ON phase2.task FOR EACH ROW EXECUTE FUNCTION fail()"
        )
    import httpx

    app = client._transport.app  # type: ignore[attr-defined]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://api"
    ) as lenient:
        answer = await lenient.post(alice.tasks, headers=alice.headers, json={"title": SECRET})
    assert answer.status_code == 500
    said = problem(answer)
    for word in ("INSERT", "phase2", "secret of the schema", SECRET):
        assert word not in answer.text, said


@pytest.mark.parametrize(
    ("authorization", "status"), [(None, 401), ("Bearer x", 401), ("theirs", 403), ("own", 413)]
)
async def test_a_body_is_not_read_for_nobody_nor_beyond_its_limit(
    authorization: str | None, status: int, client: httpx.AsyncClient, alice: Person, bob: Person
) -> None:
    """64 MB without a token: none of it is taken. With one: only up to the limit."""
    known = {"theirs": bob.headers, "own": alice.headers, None: {}}
    headers = known.get(authorization, {"Authorization": authorization or ""}) | JSON
    taken: list[dict[str, Any]] = []
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        taken.append({"type": "http.request", "body": b"x" * 65_536, "more_body": len(taken) < 1_000})
        return taken[-1]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": alice.tasks,
        "raw_path": alice.tasks.encode(), "query_string": b"", "root_path": "", "scheme": "http", "server": ("api", 80),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    app: Any = client._transport.app  # type: ignore[attr-defined]
    await app(scope, receive, send)
    assert sent[0]["status"] == status
    assert (b"connection", b"close") in sent[0]["headers"]
    assert len(taken) <= (LIMIT // 65_536 + 1 if status == 413 else 0)


async def test_malformed_json_without_a_token_is_401(client: httpx.AsyncClient, alice: Person) -> None:
    """Who asks is asked first."""
    for path in (alice.tasks, alice.conversations):
        answer = await client.post(path, headers=JSON, content=b"{")
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        problem(answer)


async def test_a_client_that_sends_a_byte_now_and_then_is_ended(
    settings: Settings, engine: sa.Engine
) -> None:
    """The whole body has so long, not each piece of it: 408."""
    from tests.api.conftest import person

    alice = person(engine, settings, "alice@example.org")

    async with served(settings.model_copy(update={"request_body_seconds": 0.3})) as client:
        sent: list[int] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.05)
            sent.append(1)
            return {"type": "http.request", "body": b" ", "more_body": True}

        answered: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            answered.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": alice.tasks,
            "raw_path": b"", "query_string": b"", "root_path": "", "scheme": "http", "server": ("api", 80),
            "headers": [(name.lower().encode(), value.encode()) for name, value in alice.headers.items()],
        }  # fmt: skip
        app: Any = client._transport.app  # type: ignore[attr-defined]
        await app(scope, receive, send)
    assert answered[0]["status"] == 408
    assert sent


async def test_of_two_changes_of_one_state_the_second_is_412(
    client: httpx.AsyncClient, alice: Person
) -> None:
    """Whoever gives the ETag of what they read never overwrites what they have not seen, also when both come at once."""
    for where, change in ((alice.tasks, {"title": "mine"}), (alice.conversations, {"title": "mine"})):
        made = await client.post(where, headers=alice.headers, json={"title": "one"})
        place, first = made.headers["Location"], made.headers["ETag"]
        assert (await client.get(place, headers=alice.headers)).headers["ETag"] == first
        both = await asyncio.gather(
            *(client.put(place, headers=alice.headers | {"If-Match": first}, json=change) for _ in range(5))
        )
        assert sorted(answer.status_code for answer in both) == [200, 412, 412, 412, 412]
        second = next(answer.headers["ETag"] for answer in both if answer.status_code == 200)
        assert second != first
        for tag, status in ((first, 412), (f'"x", {second}', 200)):
            answer = await client.put(place, headers=alice.headers | {"If-Match": tag}, json=change)
            assert answer.status_code == status
        assert (
            await client.put(place, headers=alice.headers | {"If-Match": "*"}, json=change)
        ).status_code == 200
        assert (await client.delete(place, headers=alice.headers | {"If-Match": first})).status_code == 412
        assert (await client.delete(place, headers=alice.headers)).status_code == 204
