"""Variables that the project's own code wants and that are not there: named, with the line that asks, exit code 2."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine

from airlock.database.missing_settings import missing_setting
from airlock.records.errors import Usage
from tests.airlock import forked
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

READING = "import sys\nsys.path.insert(0, {here!r})\nimport shop_settings\n"
PYDANTIC = """from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")
    db_user: str
    secret: str = Field(validation_alias="PLAIN_SECRET")
    port: int = 5432


settings = Settings()
"""
WANTS = "Settings (shop_settings.py:12) wants the environment variables SHOP_DB_USER, PLAIN_SECRET"
KINDS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "os.environ": (
        "import os\n\nurl = os.environ['SHOP_URL']\n",
        "shop_settings.py:3 wants the environment variable SHOP_URL. ",
        "Try: --env SHOP_URL=VALUE, or set it where airlock runs",
        {},
    ),
    "pydantic": (
        PYDANTIC,
        f"{WANTS}. ",
        "Try: --env SHOP_DB_USER=VALUE --env PLAIN_SECRET=VALUE, or set them where airlock runs",
        {},
    ),
    "pydantic, a value of another type": (
        PYDANTIC,
        f"{WANTS} and does not take SHOP_PORT: Input should be a valid integer",
        "",
        {"SHOP_PORT": "S3cr3tZZ"},
    ),
}
TABLE = [Revision("m1", 'op.execute("CREATE TABLE a (id int)")', 'op.execute("DROP TABLE a")')]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_project_wants_is_named_by_every_command(
    kind: str, tmp_path: Path, empty_database: Database
) -> None:
    """By the runner on the target as by what works in scratch; no value is repeated."""
    code, said, then, more = KINDS[kind]
    (tmp_path / "shop_settings.py").write_text(code)
    ini = write_project(tmp_path, TABLE, env=READING.format(here=str(tmp_path)))
    for words in (("upgrade",), ("trace",), ("drill",), ("check",), ("revision", "-m", "x")):
        ended = forked.airlock(ini, *words, url=empty_database.url, **more)
        assert ended.code == 2, (words, ended.err)
        assert said in ended.error, words
        assert then in ended.error, words
        assert "S3cr3tZZ" not in ended.out + ended.err
        assert "Traceback" not in ended.err


def test_a_driver_that_is_missing_is_named_with_the_one_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A URL without a driver asks for psycopg from SQLAlchemy 2.1 on; many have psycopg2 alone."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        create_engine("postgresql+psycopg://")
    said = str(missing_setting(caught.value))
    assert said.startswith("env.py's URL asks SQLAlchemy for the driver psycopg"), said
    assert "installed is psycopg2" in said, said
    assert said.endswith(
        "Try: postgresql+psycopg2:// where env.py has its URL from or pip install psycopg"
    ), said
    assert isinstance(missing_setting(caught.value), Usage)
    with pytest.raises(ModuleNotFoundError) as another:
        __import__("psycopg")
    assert missing_setting(another.value) is None
