"""A pass from the command line runs on uvloop's event loop, and one with nothing new on none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from user import User

STANDING_IN = """
import asyncio, sys

class Loop(asyncio.SelectorEventLoop):
    def __init__(self):
        super().__init__()
        print("uvloop's", file=sys.stderr)
"""


def test_a_pass_runs_on_uvloops_event_loop(user: User, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "uvloop.py").write_text(STANDING_IN)
    done = user.sync("acme/website", PYTHONPATH=str(folder))
    assert (done.code, done.err.count("uvloop's")) == (0, 1)
    done = user.sync("acme/website", PYTHONPATH=str(folder))
    assert (done.code, done.err.count("uvloop's")) == (0, 0)


def test_a_uvloop_too_old_for_its_python_is_left_alone(user: User, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "uvloop.py").write_text("import asyncio\nasyncio.no_such_thing\n")
    assert user.sync("acme/website", PYTHONPATH=str(folder)).code == 0
