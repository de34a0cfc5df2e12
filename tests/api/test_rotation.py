"""A JWT secret that is replaced by another while the application is in use."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import SecretStr

from app.api.tokens import issue
from tests.api.conftest import served

if TYPE_CHECKING:
    from app.settings import Settings
    from tests.api.conftest import Person


async def test_the_secret_before_is_accepted_during_a_rotation_and_not_after_it(
    settings: Settings, alice: Person
) -> None:
    """Tokens of both secrets pass while both are set; of a third none does; afterwards only the new one's."""
    old, new, other = settings.jwt_secret, SecretStr("n" * 32), SecretStr("o" * 32)

    async def statuses(previous: SecretStr | None) -> list[int]:
        given = settings.model_copy(update={"jwt_secret": new, "jwt_secret_previous": previous})
        async with served(given) as client:
            tokens = [issue(alice.id, secret, timedelta(hours=1)) for secret in (old, new, other)]
            return [
                (await client.get(alice.tasks, headers={"Authorization": f"Bearer {token}"})).status_code
                for token in tokens
            ]

    assert await statuses(old) == [200, 200, 401]
    assert await statuses(None) == [401, 200, 401]
