"""The history: up, down and up again, whole and revision by revision."""

from __future__ import annotations

import pytest

from tests.history import History

pytestmark = pytest.mark.server


def test_a_migrated_database_equals_the_models(history: History) -> None:
    """Autogenerate finds nothing to do at head."""
    history.check()


def test_the_history_goes_down_to_base_and_up_again(history: History) -> None:
    history.downgrade("base")
    history.upgrade("head")
    history.check()
