"""A pass from the command line runs on uvloop's event loop, and one with nothing new on none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from user import with_module

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
    environ = with_module(tmp_path / "site", "uvloop", STANDING_IN)
    done = user.sync("acme/website", **environ)
    assert (done.code, done.err.count("uvloop's")) == (0, 1)
    done = user.sync("acme/website", **environ)
    assert (done.code, done.err.count("uvloop's")) == (0, 0)


def test_a_uvloop_too_old_for_its_python_is_left_alone(user: User, tmp_path: Path) -> None:
    too_old = "import asyncio\nasyncio.no_such_thing\n"
    environ = with_module(tmp_path / "site", "uvloop", too_old)
    assert user.sync("acme/website", **environ).code == 0
