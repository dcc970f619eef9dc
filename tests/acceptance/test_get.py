"""``get`` copies mirrored files out of the mirror, or unpacks them, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
from typing import TYPE_CHECKING

import pytest
from archives import FILES, tar_of, zip_of
from test_extract import CUBE, ROCKET, Unpacking, organisation

from artifact_sync.domain.archives import ExtractLimits
from artifact_sync.domain.errors import NoSpace
from artifact_sync.domain.model import ArchiveFile, MirrorPath
from artifact_sync.mirror.local.delivery import OutsideFolder
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.simulator import running_in_thread as running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="calls fork")

HELD = {"dist.zip": zip_of(FILES), "bad.tar": tar_of({"../x": b"out"}), "app.bin": b"an app"}
PLACE = "ci/build/build"


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unpacking]:
    with running(organisation(HELD)) as service:
        user = Unpacking(tmp_path_factory.mktemp("home"), service)
        user.extract = ""
        assert user.run("sync", ROCKET)[0] == 0
        yield user


def files(folder: Path) -> dict[str, bytes]:
    found = (it for it in folder.rglob("*") if it.is_file() or it.is_symlink())
    return {it.relative_to(folder).as_posix(): it.read_bytes() for it in found}


def staged(name: str, end: str) -> str:
    return f".artifact-sync-{hashlib.sha256(name.encode()).hexdigest()[:16]}{end}"


def test_files_are_copied_kept_and_never_replaced_without_a_word(
    mirrored: Unpacking, tmp_path: Path
) -> None:
    whole = {f"{PLACE}/{name}": content for name, content in HELD.items()}
    code, answer, _ = mirrored.run("get", ROCKET, "--to", str(tmp_path / "out"))
    assert (code, answer["complete"], files(tmp_path / "out")) == (0, True, whole)
    assert {it["action"] for it in answer["files"]} == {"copied"}
    app = tmp_path / "out" / PLACE / "app.bin"
    app.write_bytes(b"mine")
    code, answer, _ = mirrored.run("get", f"{ROCKET}@1", "--to", str(tmp_path / "out"))
    (failure,) = answer["failures"]
    assert (code, failure["reason"], app.read_bytes()) == (1, "in_the_way", b"mine")
    assert {it["action"] for it in answer["files"]} == {"kept"}
    app.unlink()
    app.symlink_to(tmp_path / "elsewhere")
    code, _, _ = mirrored.run("get", ROCKET, "app.bin", "--to", str(tmp_path / "out"), "--force")
    assert (code, app.is_symlink(), app.read_bytes()) == (0, False, b"an app")
    assert not (tmp_path / "elsewhere").exists()
    code, answer, _ = mirrored.run("get", ROCKET, "nothing", "--to", str(tmp_path / "none"))
    assert (code, answer["failures"][0]["reason"]) == (1, "nothing_fits")
    assert not (tmp_path / "none").exists()


def test_archives_are_unpacked_and_what_is_unsafe_or_damaged_is_not_given_out(
    mirrored: Unpacking, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (tmp_path / "trap").mkdir()
    out.mkdir()
    (out / "ci").symlink_to(tmp_path / "trap")
    code, answer, _ = mirrored.run("get", ROCKET, "dist.zip", "--to", str(out), "--extract")
    assert (code, answer["failures"][0]["reason"]) == (1, "in_the_way")
    assert not list((tmp_path / "trap").iterdir())
    (out / "ci").unlink()
    for action in ("unpacked", "kept"):
        code, answer, _ = mirrored.run("get", ROCKET, "--to", str(out), "--extract")
        assert (code, answer["failures"][0]["reason"]) == (1, "unsafe_archive")
        actions = {it["local_path"]: it["action"] for it in answer["files"]}
        assert actions["./dist.zip"] == action
    unpacked = {f"{PLACE}/dist.zip.d/{name}": content for name, content in FILES.items()}
    assert files(out) == {**unpacked, f"{PLACE}/app.bin": b"an app"}
    assert list(tmp_path.rglob("x")) == []
    (mirrored.root / CUBE / "app.bin").write_bytes(b"spoilt")
    code, answer, _ = mirrored.run("get", ROCKET, "app.bin", "--to", str(tmp_path / "third"))
    assert (code, answer["failures"][0]["reason"]) == (5, "integrity")
    assert files(tmp_path / "third") == {}
    (mirrored.root / CUBE / "app.bin").unlink()  # as a prune meanwhile
    code, answer, _ = mirrored.run("get", ROCKET, "app.bin", "--to", str(tmp_path / "third"))
    assert (code, "is missing from the mirror" in answer["failures"][0]["message"]) == (5, True)


def test_what_a_kill_has_left_is_replaced_and_gone(mirrored: Unpacking, tmp_path: Path) -> None:
    out = tmp_path / "out" / PLACE
    mirrored.run("get", ROCKET, "dist.zip", "--to", str(tmp_path / "out"), "--extract")
    (out / "dist.zip.d" / "run.sh").write_bytes(b"mine")
    for end in (".d", ".old"):
        (out / staged("dist.zip.d", end) / "half").mkdir(parents=True)
    (out / staged("dist.zip", ".new")).write_bytes(b"half")
    for more in ((), ("--extract", "--force")):
        code, _, _ = mirrored.run("get", ROCKET, "dist.zip", "--to", str(tmp_path / "out"), *more)
        assert code == 0
    assert {it.name for it in out.iterdir()} == {"dist.zip", "dist.zip.d"}
    assert (out / "dist.zip.d" / "run.sh").read_bytes() == FILES["run.sh"]


def test_a_target_that_cannot_be_is_told_and_nothing_is_made(
    mirrored: Unpacking, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(mirrored.root)
    for target, told in (("file/x", (1, "in_the_way")), ("link/x", (2, "usage"))):
        code, answer, _ = mirrored.run("get", ROCKET, "dist.zip", "--to", str(tmp_path / target))
        assert (code, answer["failures"][0]["reason"]) == told
    assert not (mirrored.root / "x").exists()


def test_a_full_disk_is_told_as_the_targets_and_no_interrupt_leaves_half(
    mirrored: Unpacking, tmp_path: Path
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def interrupted() -> None:
        raise KeyboardInterrupt

    content, limits = HELD["dist.zip"], ExtractLimits(100, 1 << 20, 100)
    file = ArchiveFile(
        MirrorPath(f"{CUBE}/dist.zip"), len(content), hashlib.sha256(content).hexdigest()
    )
    target = tmp_path / "out"
    delivery = OutsideFolder(LocalMirror(mirrored.root, looked_at=True), target)
    with pytest.raises(NoSpace, match=f"no space left in {re.escape(str(target))}"):
        delivery.unpack(file, "a/b", limits, full)
    with pytest.raises(KeyboardInterrupt):
        delivery.unpack(file, "a/b", limits, interrupted)
    assert list((target / "a").iterdir()) == []
