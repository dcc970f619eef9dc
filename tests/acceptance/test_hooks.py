"""Hooks are told what happens to the mirror: at least once, and without holding anything up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from user import TOKEN, User, organisation

from artifact_sync.simulator import running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROCKET = "acme/rocket"


class HookUser(User):
    """Has a configuration with hooks."""

    def configure(self, *hooks: str) -> None:
        """Write the configuration: a repository, and these tables of hooks."""
        text = f'[mirror]\nroot = "{self.root}"\n[[repo]]\nname = "{ROCKET}"\n'
        tables = (f"[[hook]]\n{hook}\n" for hook in hooks)
        (self.folder / "config.toml").write_text(text + "".join(tables))

    def program(self, script: str, name: str = "hook") -> str:
        """Write a script; a line of configuration that calls it."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return f'command = ["{path}"]'

    def call(self, *arguments: object) -> Any:
        return self.run(*arguments, "--config", self.folder / "config.toml")

    @property
    def told(self) -> list[dict[str, Any]]:
        """What the script has written down."""
        path = self.folder / "told"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


WRITE_DOWN = "cat >> $HOME/told"


@pytest.fixture
def user(tmp_path: Path) -> Iterator[HookUser]:
    with running_in_thread(organisation()) as service:
        yield HookUser(tmp_path, service)


def test_a_program_is_told_of_each_run_that_is_complete_and_of_none_twice(user: HookUser) -> None:
    script = f"{WRITE_DOWN}; env > $HOME/environ; pwd > $HOME/folder"
    user.configure('on = ["run.complete"]\n' + user.program(script))
    assert user.call("sync").code == 0
    assert sorted(it["run"] for it in user.told) == ["1", "2", "3"]
    for it in user.told:
        assert (it["event"], it["repo"], it["path"]) == (
            "run.complete",
            ROCKET,
            f"{ROCKET}/{it['run']}",
        )
        assert (user.root / it["path"] / "SHA256SUMS").is_file()
        assert it["files"] == 4
    assert len({it["id"] for it in user.told}) == 3
    environ = dict(
        line.split("=", 1) for line in (user.folder / "environ").read_text().splitlines()
    )
    last = user.told[-1]
    assert environ["ARTIFACT_SYNC_HOOK_ID"] == last["id"]
    assert environ["ARTIFACT_SYNC_HOOK_PATH"] == last["path"]
    assert environ["ARTIFACT_SYNC_HOOK_ROOT"] == str(user.root)
    assert TOKEN not in (user.folder / "environ").read_text()
    ours = {name for name in environ if not name.startswith(("ARTIFACT_SYNC_HOOK_", "LC_"))}
    assert ours <= {"PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_"}
    assert (user.folder / "folder").read_text().strip() == str(user.root)
    assert user.call("sync").code == 0
    assert len(user.told) == 3


def test_a_program_that_fails_is_told_again_by_a_later_sync(user: HookUser) -> None:
    user.configure('on = ["run.complete"]\n' + user.program("echo no room in the mailbox; exit 3"))
    done = user.call("sync")
    assert done.code == 0
    assert "a hook could not be told, and is tried again" in done.err
    assert "ended with 3: no room in the mailbox" in done.err
    user.program(WRITE_DOWN)
    for _ in range(200):
        assert user.call("sync").code == 0
        if len(user.told) == 3:
            break
    assert sorted(it["run"] for it in user.told) == ["1", "2", "3"]
