"""What the environment and `.env` say, checked once; every message names the variable and never its value."""

from __future__ import annotations

import functools
import re
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.database_url import ROOT, ConfigurationError, is_pooled, parse, unreadable

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def _postgresql(secret: SecretStr) -> SecretStr:
    try:
        parse(secret.get_secret_value(), "it")
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    return secret


def _listed(text: object) -> object:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def _origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"https?://[^/?#@\s]+", text):
        raise ValueError("an origin is * or like https://example.org, without a path")
    return text


DatabaseUrl = Annotated[SecretStr, AfterValidator(_postgresql)]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...],
    NoDecode,  # several are separated by commas, not written as JSON
    BeforeValidator(_listed),
]


class DatabaseSettings(BaseSettings):
    """What a database connection needs. Variables are the fields' names in upper case; empty equals missing."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True, frozen=True
    )

    database_url: DatabaseUrl
    # None: asked of the host's name. True: behind another pooler in transaction mode.
    database_pooled: bool | None = None
    database_pool_size: int = Field(default=5, ge=1)
    database_max_overflow: int = Field(default=5, ge=0)
    database_pool_timeout: float = Field(default=30, gt=0)
    database_pool_recycle: int = Field(default=3600, ge=1)
    database_pool_pre_ping: bool = True
    database_connect_timeout: int = Field(default=10, ge=1)
    database_echo: bool = False

    def url(self) -> URL:
        """Read DATABASE_URL. The result shows its password to whoever renders it: keep it out of messages."""
        return parse(self.database_url.get_secret_value(), "DATABASE_URL")

    def pooled(self) -> bool:
        """Tell whether a pooler in transaction mode is in between: prepared statements do not survive there."""
        return is_pooled(self.url()) if self.database_pooled is None else self.database_pooled


class Settings(DatabaseSettings):
    """Everything the application needs."""

    jwt_secret: SecretStr = Field(min_length=32)
    # The one before, while its tokens run out: they are still accepted, none is issued with it.
    jwt_secret_previous: SecretStr | None = Field(default=None, min_length=32)
    # How long the body of a request may take to arrive.
    request_body_seconds: float = Field(default=30, gt=0)
    # Sites whose pages may call the API from a browser.
    cors_origins: Origins = ()


S = TypeVar("S", bound=DatabaseSettings)


def read(kind: type[S]) -> S:
    """Read settings from the environment, then `.env`. Raises ConfigurationError: one line, no value."""
    try:
        return kind()  # type: ignore[call-arg]  # the environment fills the fields
    except ValidationError as error:
        raise ConfigurationError(" ".join(_sentences(error))) from None
    except (OSError, UnicodeError):
        raise unreadable(ROOT / ".env") from None


@functools.cache
def get_database_settings() -> DatabaseSettings:
    """Read what a connection needs, once per process."""
    return read(DatabaseSettings)


@functools.cache
def get_settings() -> Settings:
    """Read everything, once per process."""
    return read(Settings)


def exit_with(error: ConfigurationError) -> NoReturn:
    """End the process as every command here does on bad configuration: one line, exit code 2."""
    sys.stderr.write(f"app: {error}\n")
    raise SystemExit(error.exit_code)


def _sentences(error: ValidationError) -> list[str]:
    sentences = []
    for fault in error.errors(include_input=False, include_url=False, include_context=True):
        variable = str(fault["loc"][0]).upper() if fault["loc"] else "the settings"
        if fault["type"] == "missing":
            sentences.append(f"{variable} is not set: set it in the environment or in .env (make env).")
        elif variable in {"JWT_SECRET", "JWT_SECRET_PREVIOUS"}:
            sentences.append(f"{variable} is too short: at least 32 characters (make env writes one).")
        elif fault["type"] == "value_error":
            sentences.append(f"{variable}: {fault['ctx']['error']}".replace(": it ", " "))
        else:
            sentences.append(f"{variable}: {fault['msg'][0].lower()}{fault['msg'][1:]}.")
    return sentences
