"""Requests made up from the OpenAPI document: the application keeps to what the document says."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck
from hypothesis import settings as configured
from schemathesis import checks
from sqlalchemy.orm import Session

from app import tasks, users
from app.api.application import create_app
from app.api.tokens import issue
from app.database import make_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.settings import Settings
    from tests.servers import Server

pytestmark = pytest.mark.proof
