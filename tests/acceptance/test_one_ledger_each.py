"""A ledger is about one mirror: what another one lacks is never called mirrored."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from user import User

REPO = "acme/rocket"


def test_a_second_root_and_a_bare_mount_point_are_refused(user: User, tmp_path: Path) -> None:
    user.environ["ARTIFACT_SYNC_LEDGER__URL"] = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    assert user.sync(REPO).code == 0
    other = tmp_path / "other"
    refused = user.run("sync", REPO, "--root", other)
    assert (refused.code, refused.out) == (2, "")
    assert f"the ledger belongs to a mirror that is not at {other}: mount" in refused.err
    assert [it.name for it in other.iterdir()] == [".artifact-sync"]

    user.root.rename(tmp_path / "away")
    user.root.mkdir()
    for command in ("status", "ls", "verify"):
        assert user.run(command, "--root", user.root).code == 2
    assert user.run("sync", REPO, "--dry-run", "--root", user.root).code == 2
    assert list(user.root.iterdir()) == []

    user.root.rmdir()
    (tmp_path / "away").rename(user.root)
    again = user.sync(REPO, "--json")
    found, downloaded, kept, failed = again.counts
    assert (again.code, downloaded, failed, kept) == (0, 0, 0, found)
