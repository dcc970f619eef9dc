"""``mirror.must_be_mounted``. What it is to find is in ``tests/hostile/test_unmounted_root.py``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from artifact_sync.domain.errors import DiskError
from artifact_sync.mirror.local.own_folder import check_mounted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no /")


def test_a_root_on_the_disk_of_the_system_is_refused_and_not_made(tmp_path):
    if tmp_path.stat().st_dev != Path("/").stat().st_dev:
        pytest.skip("the folder for tests is not on the file system of /")
    root = tmp_path / "not" / "there"
    with pytest.raises(DiskError, match="must_be_mounted wants one of its own: mount it"):
        check_mounted(root)
    assert not root.parent.exists()


def test_a_root_on_a_disk_of_its_own_is_fine_even_when_it_is_yet_to_be_made():
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == Path("/").stat().st_dev:
        pytest.skip("needs a file system besides that of /")
    check_mounted(shm)
    check_mounted(shm / "not" / "there")
