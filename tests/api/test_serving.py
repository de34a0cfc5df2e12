"""The API as a process: the settings it takes, and `python -m app.api`, which `make api` runs."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from app.api.__main__ import main
from app.database_url import ConfigurationError
from app.settings import Settings, read
from tests.history import ROOT

if TYPE_CHECKING:
    from tests.servers import Database


def test_origins_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces do not count, none is allowed by default, and what is no origin is one line that names the variable."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://u@h/d")
    monkeypatch.setenv("JWT_SECRET", "x" * 32)
    monkeypatch.delenv("CORS_ORIGINS", raising=False)
    assert read(Settings).cors_origins == ()
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example.org, http://localhost:3000,")
    assert read(Settings).cors_origins == ("https://a.example.org", "http://localhost:3000")
    monkeypatch.setenv("CORS_ORIGINS", "*")
    assert read(Settings).cors_origins == ("*",)
    for wrong in (
        "https://a.example.org/",
        "a.example.org",
        "https://a.example.org/path",
        "https://u:p@a.example.org",
    ):
        monkeypatch.setenv("CORS_ORIGINS", wrong)
        with pytest.raises(ConfigurationError, match=r"^CORS_ORIGINS: an origin is"):
            read(Settings)


@pytest.mark.parametrize("port", ["x", "0", "-1", "65536", "9" * 5000, "\uff18\uff10"])
def test_a_port_that_is_none_is_one_line(
    port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every setting that cannot be: the variable's name, exit 2."""
    monkeypatch.setenv("PORT", port)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "app: PORT is a number from 1 to 65535.\n"


@pytest.mark.proof
def test_who_starts_the_api_by_hand_gets_a_token_that_works(database: Database) -> None:
    """It prints the demo user's token and the documentation's address; the token opens that user's tasks."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database.url,
        "JWT_SECRET": "x" * 32,
        "PORT": str(port),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "app.api"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        try:
            while "Uvicorn running" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            token = re.search(r"^ey\S+$", said, re.MULTILINE)
            path = re.search(r"/api/[0-9a-f-]+/tasks", said)
            assert token is not None
            assert path is not None
            assert f"http://127.0.0.1:{port}/docs" in said
            headers = {"Authorization": f"Bearer {token[0]}"}
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False
            ) as client:
                assert client.post(path[0], json={"title": "Water"}).status_code == 201
                assert [task["title"] for task in client.get(path[0]).json()["items"]] == ["Water"]
                assert client.get("/docs").status_code == 200
        finally:
            process.terminate()
