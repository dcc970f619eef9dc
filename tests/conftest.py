"""What all tests share: nothing of the machine's own settings reaches them, and their order."""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from object_stores import ObjectServer
    from postgres_server import Postgres

_OURS = ("ARTIFACT_SYNC_", "SOURCECRAFT_", "CREDENTIALS_DIRECTORY")
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
_AUTHORITY = Path(__file__).parent / "data" / "authority.pem"
_LONGEST_ID = 100
_BRIEF = {"unit", "contracts"}
"""The folders whose tests take less than seconds."""


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def _no_authorities_of_the_machine() -> Iterator[None]:
    """One authority instead, which has signed nothing: to load certifi's hundred and more takes
    50 ms of every client and of every start of the program, a minute of the whole suite."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(_AUTHORITY))
        patch.delenv("SSL_CERT_DIR", raising=False)
        yield


@pytest.fixture
def anywhere() -> Iterator[Path]:
    """A folder that every user may use."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL, one for each worker of the tests."""
    from postgres_server import Postgres as Server  # noqa: PLC0415 - psycopg is an extra

    server = Server()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def _object_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], ObjectServer]]:
    from object_stores import SERVERS  # noqa: PLC0415 - obstore is an extra

    running: dict[str, ObjectServer] = {}

    def server(kind: str) -> ObjectServer:
        if kind not in running:
            running[kind] = SERVERS[kind](tmp_path_factory.mktemp(kind))
        return running[kind]

    yield server
    for it in running.values():
        it.stop()


@pytest.fixture
def object_server(
    _object_servers: Callable[[str], ObjectServer], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], ObjectServer]:
    """Object stores by their kind, each started once; their keys are in the environment."""
    from object_stores import KEYS  # noqa: PLC0415 - as above

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return _object_servers


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A megabyte of nested brackets is no name: 57 MB of them went from each worker."""
    if not isinstance(val, str | bytes) or len(val) <= _LONGEST_ID:
        return None
    content = val.encode("utf-8", "surrogatepass") if isinstance(val, str) else val
    return f"{argname}-{len(val)}-{zlib.crc32(content):08x}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Among workers: slow tests first, brief ones last, so that no worker is left alone with a long
    one; between them tests that wait beside tests that compute. Always the same order."""
    if config.getoption("loadgroup", default=False):
        items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[bool, float]:
    chance = zlib.crc32(item.nodeid.encode()) / 2**32
    brief = item.path.parent.name in _BRIEF
    return item.get_closest_marker("slow") is None, chance if brief else 0.85 * chance
