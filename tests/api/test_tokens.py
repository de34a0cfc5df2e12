"""Tokens that must not let anyone in; none of these requests reaches the database."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import jwt
import pytest

from app.api.application import Application, create_app
from app.settings import Settings
from tests.api.conftest import client_of

if TYPE_CHECKING:
    import httpx

SECRET = "a secret of more than thirty-two characters"
ME = uuid4()
LATER = int(time.time()) + 3600


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": str(ME), "exp": LATER} | claims, secret, algorithm=algorithm)


def part(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unsigned(header: object, payload: object, signature: str = "") -> str:
    return f"{part(header)}.{part(payload)}.{signature}"


def resigned(payload: str) -> str:
    """Sign a payload that no library would write."""
    algorithm = jwt.get_algorithm_by_name("HS256")
    body = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(payload)}"
    signature = algorithm.sign(body.encode(), algorithm.prepare_key(SECRET))
    return f"{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


CLAIMS = {"sub": str(ME), "exp": LATER}
GOOD = signed()
FAULTS = {
    "expired": signed(exp=int(time.time()) - 1),
    "without exp": jwt.encode({"sub": str(ME)}, SECRET),
    "without sub": jwt.encode({"exp": LATER}, SECRET),
    "not valid yet": signed(nbf=LATER),
    "another key": signed("another secret of more than thirty-two characters"),
    "another algorithm": signed("x" * 64, "HS512"),
    "right key, another algorithm": signed(SECRET * 2, "HS384"),
    "alg none": unsigned({"alg": "none", "typ": "JWT"}, CLAIMS),
    "alg None": unsigned({"alg": "None", "typ": "JWT"}, CLAIMS),
    "alg none, real signature": unsigned({"alg": "none"}, CLAIMS, GOOD.rpartition(".")[2]),
    "signature cut off": GOOD.rpartition(".")[0] + ".",
    "payload exchanged": unsigned({"alg": "HS256"}, {"sub": str(uuid4()), "exp": LATER}, GOOD.rpartition(".")[2]),
    "subject is no id": signed(sub="admin"),
    "subject is a list": resigned(json.dumps({"sub": [str(ME)], "exp": LATER})),
    "exp is text": resigned(json.dumps({"sub": str(ME), "exp": "later"})),
    "exp is endless": resigned(f'{{"sub": "{ME}", "exp": 1e999}}'),
    "exp is null": resigned(json.dumps({"sub": str(ME), "exp": None})),
    "payload is a list": resigned("[]"),
    "header without end": unsigned("[" * 20_000, CLAIMS),
    "garbage": "garbage",
    "dots": "..",
    "two parts": "a.b",
    "no base64": "!.!.!",
    "a whole book": "x" * 60_000,
}  # fmt: skip


@pytest.fixture(scope="module")
def app() -> Application:
    """Make an application whose database does not exist."""
    made = create_app(
        Settings.model_validate(
            {"database_url": "postgresql://nobody@127.0.0.1:1/none", "jwt_secret": SECRET}
        )
    )
    made.state.engine = None
    return made


@pytest.fixture
def client(app: Application) -> httpx.AsyncClient:
    return client_of(app)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_faulty_token_is_401_without_saying_what_is_wrong(
    client: httpx.AsyncClient, fault: str
) -> None:
    """One answer for every fault, with the header that asks for a bearer token."""
    answer = await client.get(f"/api/{ME}/tasks", headers={"Authorization": f"Bearer {FAULTS[fault]}"})
    assert (answer.status_code, answer.json()["detail"]) == (401, "The token is not valid.")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Basic {GOOD}", GOOD, "Basic dXNlcjpwYXNz"]
)
async def test_a_request_without_a_bearer_token_is_401(client: httpx.AsyncClient, header: str | None) -> None:
    """Whatever else the header holds."""
    answer = await client.get(f"/api/{ME}/tasks", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_anothers_token_is_403_at_every_endpoint(client: httpx.AsyncClient) -> None:
    """Also where the task, or the other user, does not exist; the database is not asked."""
    headers = {"Authorization": f"Bearer {GOOD}"}
    theirs: UUID = uuid4()
    for method, path in (
        ("GET", ""), ("POST", ""), ("GET", f"/{uuid4()}"), ("PUT", f"/{uuid4()}"), ("DELETE", f"/{uuid4()}"),
        ("PATCH", f"/{uuid4()}/complete"),
    ):  # fmt: skip
        body = {"title": "x"} if method in {"POST", "PUT"} else None
        answer = await client.request(method, f"/api/{theirs}/tasks{path}", headers=headers, json=body)
        assert (answer.status_code, answer.json()["detail"]) == (403, "The token is another user's.")
