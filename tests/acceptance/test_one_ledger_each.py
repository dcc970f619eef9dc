"""A ledger is about one mirror: what another one lacks is never called mirrored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from user import User, organisation

from artifact_sync.simulator import Simulator

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_root_and_a_bare_mount_point_are_refused_by_the_ledger(tmp_path: Path) -> None:
    with Simulator(organisation()).running() as service:
        user = User(tmp_path, service)
        user.environ["ARTIFACT_SYNC_LEDGER__URL"] = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
        assert user.sync("acme/shop").code == 0
        refused = user.run("sync", "--root", tmp_path / "other", "acme/shop")
        assert (refused.code, refused.out) == (2, "")
        assert f"the ledger belongs to a mirror that is not at {tmp_path / 'other'}" in refused.err
        assert "ledger.url" in refused.err
        user.root.rename(tmp_path / "away")
        user.root.mkdir()
        for command in ("status", "verify", "ls"):
            assert user.run(command, "--root", user.root).code == 2
        assert list(user.root.iterdir()) == []
        user.root.rmdir()
        (tmp_path / "away").rename(user.root)
        again = user.sync("acme/shop")
        assert (again.code, again.counts[1]) == (0, 0)
