"""Where lines go while nobody has set up a log: to ``logging``, and nowhere by themselves."""

from __future__ import annotations

import subprocess
import sys

QUIET = """
from artifact_sync.runtime.logs import get_logger
log = get_logger("artifact_sync.some.module")
try:
    raise ValueError("told")
except ValueError:
    log.exception("a bug", repo="acme/rocket")
log.warning("moved out of the way", path="a b")
"""
SET_UP = (
    'import logging; logging.basicConfig(level="INFO", format="%(name)s %(levelname)s %(message)s")'
)


def said(script: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def test_a_program_without_a_log_hears_nothing() -> None:
    assert said(QUIET) == ("", "")


def test_the_programs_own_log_gets_the_lines_with_their_fields() -> None:
    out, err = said(SET_UP + QUIET)
    first, *trace, last = err.splitlines()
    assert out == ""
    assert first == "artifact_sync.some.module ERROR a bug repo=acme/rocket"
    assert trace[-1] == "ValueError: told"
    assert last == "artifact_sync.some.module WARNING moved out of the way path=a b"
