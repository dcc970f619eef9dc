"""Without what the extra ``fast`` brings: the same mirror, and one line that says it is slower."""

from __future__ import annotations

from typing import TYPE_CHECKING

from user import with_module

if TYPE_CHECKING:
    from pathlib import Path

    from user import User

SLOWER = "downloads go by httpx, which is slower"


def _without(folder: Path) -> dict[str, str]:
    """An environment in which the libraries cannot be imported."""
    missing = "import sys\nsys.modules['pyreqwest'] = sys.modules['uvloop'] = None\n"
    return with_module(folder, "sitecustomize", missing)


def test_httpx_downloads_and_one_line_says_that_it_is_slower(user: User, tmp_path: Path) -> None:
    done = user.sync("acme/website", **_without(tmp_path / "site"))
    assert done.code == 0
    assert done.err.count(SLOWER) == 1
    assert "pip install 'artifact-sync[fast]'" in done.err
    by_httpx = user.files()
    assert by_httpx
    user.root.rename(tmp_path / "by_httpx")

    done = user.sync("acme/website")
    assert done.code == 0
    assert SLOWER not in done.err
    assert user.files() == by_httpx


def test_with_nothing_to_download_nobody_is_told(user: User, tmp_path: Path) -> None:
    environ = _without(tmp_path / "site")
    user.sync("acme/website", **environ)
    assert SLOWER not in user.sync("acme/website", **environ).err
