"""What fails while runs are pruned is told, and finished by whoever comes next."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from failing_calls import failing
from keeping import ORG, Keeping, small_organisation

from artifact_sync.simulator import running_in_thread

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="calls fork")

ROCKET = f"{ORG}/rocket"
LAST = {"ARTIFACT_SYNC_KEEP__LAST": "1"}


def test_a_disk_that_fails_is_told_and_the_next_pass_finishes_what_was_begun(
    tmp_path: Path,
) -> None:
    with running_in_thread(small_organisation("rocket")) as service:
        keeping, told = Keeping(tmp_path, service), tmp_path / "told"
        assert keeping.run("sync", ROCKET)[0] == 0
        hook = {"on": ["pruned"], "command": ["/bin/sh", "-c", f"cat >> {told}; echo >> {told}"]}
        lines = (f"{key} = {json.dumps(value)}" for key, value in hook.items())
        config = tmp_path / "hooks.toml"
        config.write_text("\n".join(["[[hook]]", *lines]))
        fails = failing("unlinkat", errno.EIO, f"{ROCKET}/1", times=1)
        command = [sys.executable, "-m", "artifact_sync", "prune", "--json", "--config", config]
        environ = keeping.environ | LAST | fails
        both = [
            subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, cwd=tmp_path)
            for _ in range(2)
        ]
        answers = [json.loads(it.communicate()[0]) for it in both]
        codes = sorted(it.returncode for it in both)
        assert codes in ([6, 7], [0, 6], [6, 6])  # the other found it held, or came later
        assert sorted(it["exit_code"] for it in answers) == codes
        assert [it["complete"] for it in answers] == [not it["exit_code"] for it in answers]
        code, report, _ = keeping.run("sync", ROCKET, "--config", str(config))
        assert (code, report["failures"]) == (0, [])
        assert not (keeping.root / ROCKET / "1").exists()
        assert keeping.story().codes == (0, 0)
        events = [json.loads(line) for line in told.read_text().splitlines() if line]
        assert [(it["event"], it["run"]) for it in events] == [("pruned", "1")]
