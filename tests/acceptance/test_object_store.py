"""A mirror in an object store, by the real program against a real store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from user import User, contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from object_stores import ObjectServer

    from artifact_sync.simulator import Running

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="calls fork"),
    pytest.mark.xdist_group("objects-moto"),
]


class StoreUser(User):
    """A user whose mirror is in a store, with its ledger in SQLite."""

    def __init__(self, folder: Path, service: Running, server: ObjectServer) -> None:
        super().__init__(folder, service)
        self.server = server
        self.prefix = f"users/{uuid4().hex}"
        self.url = server.url(self.prefix)
        self.environ |= {
            **server.environ(),
            "ARTIFACT_SYNC_MIRROR__ROOT": self.url,
            "ARTIFACT_SYNC_LEDGER__URL": f"sqlite:///{folder / 'ledger.sqlite'}",
        }

    def objects(self) -> dict[str, bytes]:
        """Everything below the mirror's prefix."""
        return self.server.objects(self.prefix)

    def mirrored(self) -> dict[str, bytes]:
        """The artifacts alone."""
        return {
            path: content
            for path, content in self.objects().items()
            if path.count("/") > 3 and not path.startswith(".artifact-sync/")
        }


@pytest.fixture
def store_user(
    tmp_path: Path, service: Running, object_server: Callable[[str], ObjectServer]
) -> StoreUser:
    return StoreUser(tmp_path, service, object_server("moto"))


def test_all_artifacts_come_into_the_store_and_nothing_twice(
    store_user: StoreUser, service: Running
) -> None:
    done = store_user.run("sync", "acme/rocket", "--json")
    assert done.code == 0, done.err
    assert store_user.mirrored() == contents(service.simulator, "acme/rocket")
    there = store_user.objects()
    assert {"acme/rocket/latest.json", "acme/rocket/1/SHA256SUMS"} <= there.keys()
    assert store_user.run("sync", "acme/rocket", "--json").counts[1] == 0
    assert store_user.objects() == there
    assert store_user.run("verify").code == 0
    assert "acme/rocket" in store_user.run("status").out
    (first, *_) = store_user.run("path", "acme/rocket").out.splitlines()
    assert first.startswith(f"{store_user.url}/acme/rocket/")
