"""The fixtures of the acceptance tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from user import User, organisation

from artifact_sync.simulator import Running, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def service() -> Iterator[Running]:
    """The small organisation, for tests that change nothing in it."""
    with running_in_thread(organisation()) as running:
        yield running


@pytest.fixture
def own_service() -> Iterator[Running]:
    """The small organisation, for one test that may change it."""
    with running_in_thread(organisation()) as running:
        yield running


@pytest.fixture
def user(tmp_path: Path, service: Running) -> User:
    """A user of ``service``."""
    return User(tmp_path, service)


@pytest.fixture
def guest(tmp_path: Path, own_service: Running) -> User:
    """A user of ``own_service``."""
    return User(tmp_path, own_service)
