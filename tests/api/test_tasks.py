"""The six task endpoints, on a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from app import users
from app.api.application import create_app
from app.database import session
from tests.api.conftest import client_of

if TYPE_CHECKING:
    import httpx
    import sqlalchemy as sa

    from app.settings import Settings
    from tests.api.conftest import Person


async def test_a_task_lives_through_all_six_endpoints(client: httpx.AsyncClient, alice: Person) -> None:
    """Created, read, listed, changed, toggled, deleted; then it is not found."""
    created = await client.post(alice.tasks, headers=alice.headers, json={"title": "Water", "priority": 3})
    assert created.status_code == 201
    task = created.json()
    where = created.headers["Location"]
    assert where == f"{alice.tasks}/{task['id']}"
    assert task | {"id": "", "created_at": "", "updated_at": ""} == {
        "id": "", "user_id": str(alice.id), "title": "Water", "description": None, "completed": False, "priority": 3,
        "created_at": "", "updated_at": "",
    }  # fmt: skip
    assert (await client.get(where, headers=alice.headers)).json() == task
    listed = await client.get(alice.tasks, headers=alice.headers)
    assert listed.json() == {"items": [task], "next": None}
    changed = (await client.put(where, headers=alice.headers, json={"description": "All of them"})).json()
    assert changed == task | {"description": "All of them", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > task["updated_at"]
    toggled = (await client.patch(f"{where}/complete", headers=alice.headers)).json()
    assert toggled["completed"] is True
    assert (await client.patch(f"{where}/complete", headers=alice.headers)).json()["completed"] is False
    deleted = await client.delete(where, headers=alice.headers)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for call in (client.get, client.delete):
        gone = await call(where, headers=alice.headers)
        assert (gone.status_code, gone.json()["detail"]) == (404, "Task not found.")


async def test_pages_follow_each_other_and_a_status_selects(client: httpx.AsyncClient, alice: Person) -> None:
    """`next` of one page is `after` of the following; open and done are the two halves of all."""
    for number in range(5):
        task = (await client.post(alice.tasks, headers=alice.headers, json={"title": str(number)})).json()
        if number % 2:
            await client.patch(f"{alice.tasks}/{task['id']}/complete", headers=alice.headers)

    async def titles(**query: Any) -> list[str]:
        seen: list[str] = []
        while True:
            page = (await client.get(alice.tasks, headers=alice.headers, params=query)).json()
            assert len(page["items"]) <= query.get("limit", 50)
            seen += [task["title"] for task in page["items"]]
            if page["next"] is None:
                return seen
            query["after"] = page["next"]

    assert await titles() == ["4", "3", "2", "1", "0"]
    assert await titles(limit=2) == ["4", "3", "2", "1", "0"]
    assert await titles(limit=1, status="open") == ["4", "2", "0"]
    assert await titles(limit=1, status="done") == ["3", "1"]


async def test_what_was_stored_is_there_when_the_answer_comes(
    client: httpx.AsyncClient, alice: Person, engine: sa.Engine
) -> None:
    """A transaction is committed before its response is sent: another connection sees the task at once."""
    created = await client.post(alice.tasks, headers=alice.headers, json={"title": "Water"})
    with engine.connect() as connection:
        stored = connection.exec_driver_sql("SELECT id::text FROM phase2.task").scalars().all()
    assert stored == [created.json()["id"]]


async def test_a_commit_that_fails_is_no_201(
    client: httpx.AsyncClient, alice: Person, engine: sa.Engine
) -> None:
    """What the database refuses only at COMMIT is an error of this request, not a success that is forgotten."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'late' USING ERRCODE = '40001'; END$$"
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON phase2.task "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    answer = await client.post(alice.tasks, headers=alice.headers, json={"title": "Water"})
    assert (answer.status_code, answer.json()["detail"]) == (503, "The database could not do it now.")


BAD_BODIES = [
    {}, {"title": ""}, {"title": " \t\n"}, {"title": "x" * 201}, {"title": None}, {"title": 3}, {"title": "a\0b"},
    {"title": "x", "priority": 0}, {"title": "x", "priority": 5}, {"title": "x", "priority": "1"},
    {"title": "x", "description": "\0"}, {"title": "x", "description": "x" * 10_001}, {"title": "x", "id": str(uuid4())},
    {"title": "x", "user_id": str(uuid4())}, [], "x",
]  # fmt: skip


async def test_a_body_that_the_document_does_not_allow_is_refused(
    client: httpx.AsyncClient, alice: Person
) -> None:
    """422, naming the place; nothing is stored. A title in another alphabet is as good as any."""
    good = {"title": "植物 🌱 " + "é" * 195, "description": None}
    task = (await client.post(alice.tasks, headers=alice.headers, json=good)).json()
    assert task["title"] == good["title"]
    for body in BAD_BODIES:
        answers = [await client.post(alice.tasks, headers=alice.headers, json=body)]
        if body != {}:  # nothing to change is no fault
            answers.append(await client.put(f"{alice.tasks}/{task['id']}", headers=alice.headers, json=body))
        for answer in answers:
            assert answer.status_code == 422, body
            assert {frozenset(fault) for fault in answer.json()["errors"]} == {
                frozenset({"loc", "msg", "type"})
            }
    assert (await client.get(alice.tasks, headers=alice.headers)).json()["items"] == [task]


RAW_BODIES = [
    (b'{"title": "\\ud800"}', 422), (b'{"title": "x", "\\ud800": 1}', 422), (b'{"title": NaN}', 422),
    (b'{"title": "x", "priority": Infinity}', 422), (b'{"title": "x", "priority": 1e999}', 422),
    (b'{"title": "x", "priority": ' + b"9" * 5000 + b"}", 400), (b'{"title":', 422), (b"", 422), (b"\xff\xfe", 400),
    (b"[" * 100_000, 400),
]  # fmt: skip


async def test_bytes_that_are_no_json_do_no_harm(client: httpx.AsyncClient, alice: Person) -> None:
    """Lone surrogates, numbers beyond number, endless nesting: an error with a detail, never a 500."""
    headers = alice.headers | {"Content-Type": "application/json"}
    for body, status in RAW_BODIES:
        answer = await client.post(alice.tasks, headers=headers, content=body)
        assert answer.status_code == status, body[:40]
        assert answer.json()["detail"]


async def test_a_user_who_is_gone_has_no_tasks_and_gets_none(
    client: httpx.AsyncClient, alice: Person, engine: sa.Engine
) -> None:
    """Their token is still valid: the list is empty, adding is 404."""
    with session(engine) as lent:
        users.delete(lent, alice.id)
    assert (await client.get(alice.tasks, headers=alice.headers)).json()["items"] == []
    answer = await client.post(alice.tasks, headers=alice.headers, json={"title": "x"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "User not found.")


async def test_an_invented_cursor_is_refused(client: httpx.AsyncClient, alice: Person) -> None:
    """422 at the query's `after`, whatever is wrong with it."""
    for after in ("", "x", "f" * 32, "A" * 33, "\N{SNOWMAN}" * 32, "a\0" * 16):
        answer = await client.get(alice.tasks, params={"after": after}, headers=alice.headers)
        assert answer.status_code == 422, after
        assert answer.json()["errors"][0]["loc"] == ["query", "after"]


async def test_only_sites_from_the_settings_may_call_from_a_browser(settings: Settings) -> None:
    """A listed origin is let in, another is not; no request needs the database for that."""
    app = create_app(settings.model_copy(update={"cors_origins": ("https://tasks.example.org",)}))
    async with client_of(app) as client:
        for origin, allowed in (("https://tasks.example.org", True), ("https://evil.example.org", False)):
            preflight = await client.options(
                f"/api/{uuid4()}/tasks",
                headers={
                    "Origin": origin, "Access-Control-Request-Method": "PUT",
                    "Access-Control-Request-Headers": "authorization,content-type",
                },
            )  # fmt: skip
            assert (preflight.headers.get("access-control-allow-origin") == origin) is allowed
            answer = await client.get(f"/api/{uuid4()}/tasks", headers={"Origin": origin})
            assert answer.status_code == 401
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


def test_the_document_says_everything_that_can_come_back(settings: Settings) -> None:
    """Every operation has a summary, a security scheme where it needs a token, and its errors with a schema."""
    document = create_app(settings).openapi()
    operations = {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    statuses = {name: sorted(operation["responses"]) for name, operation in operations.items()}
    task = "/api/{user_id}/tasks/{task_id}"
    talk = "/api/{user_id}/conversations/{conversation_id}"
    assert statuses == {
        "GET /live": ["200"],
        "GET /health": ["200", "503"],
        "GET /api/{user_id}/tasks": ["200", "401", "403", "422", "503"],
        "POST /api/{user_id}/tasks": [
            "201",
            "400",
            "401",
            "403",
            "404",
            "408",
            "409",
            "413",
            "415",
            "422",
            "503",
        ],
        f"GET {task}": ["200", "401", "403", "404", "422", "503"],
        f"PUT {task}": ["200", "400", "401", "403", "404", "408", "412", "413", "415", "422", "503"],
        f"DELETE {task}": ["204", "401", "403", "404", "412", "422", "503"],
        f"PATCH {task}/complete": [
            "200",
            "400",
            "401",
            "403",
            "404",
            "408",
            "412",
            "413",
            "415",
            "422",
            "503",
        ],
        "GET /api/{user_id}/conversations": ["200", "401", "403", "422", "503"],
        "POST /api/{user_id}/conversations": [
            "201",
            "400",
            "401",
            "403",
            "404",
            "408",
            "409",
            "413",
            "415",
            "422",
            "503",
        ],
        f"GET {talk}": ["200", "401", "403", "404", "422", "503"],
        f"PUT {talk}": ["200", "400", "401", "403", "404", "408", "412", "413", "415", "422", "503"],
        f"DELETE {talk}": ["204", "401", "403", "404", "412", "422", "503"],
        f"POST {talk}/messages": [
            "201",
            "400",
            "401",
            "403",
            "404",
            "408",
            "409",
            "413",
            "415",
            "422",
            "503",
        ],
    }
    for name, operation in operations.items():
        assert operation["summary"]
        assert bool(operation.get("security")) is ("/api/" in name)
        for status, response in operation["responses"].items():
            assert (
                status == "204"
                or response["content"]["application/json" if status < "400" else "application/problem+json"][
                    "schema"
                ]
            ), (name, status)
