"""``extract``: archives are unpacked beside themselves, safely, all or nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from archives import FILES, PACKERS, entry, tar_of, zip_of
from keeping import ORG, Keeping, small_organisation

from artifact_sync.simulator import Cube, Repo, Scenario, ScenarioArtifact, ScenarioRun
from artifact_sync.simulator import running_in_thread as running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="calls fork")

ROCKET = f"{ORG}/rocket"
CUBE = f"{ROCKET}/1/ci/build/build"
LINK = entry("site/latest.html", tarfile.SYMTYPE, "index.html")
COPY = entry("copy.html", tarfile.LNKTYPE, "site/index.html")
EMPTY = entry("empty/", tarfile.DIRTYPE)
WHOLE = tar_of(FILES, [LINK, COPY, EMPTY])
HELD = {
    **FILES,
    "copy.html": FILES["site/index.html"],
    "site/latest.html": FILES["site/index.html"],
}
SLIP = zip_of({"fine.txt": b"fine", "../../../slip.txt": b"out"})


class Unpacking(Keeping):
    """A mirror whose archives are unpacked, if ``extract`` says so."""

    extract = "dist*"

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "ARTIFACT_SYNC_REPO__EXTRACT": self.extract}

    def unpacked(self, name: str) -> dict[str, bytes]:
        top = self.root / CUBE / name
        files = (it for it in top.rglob("*") if it.is_file())
        return {it.relative_to(top).as_posix(): it.read_bytes() for it in files}

    def named(self) -> set[str]:
        """What ``SHA256SUMS`` names in the cube's folder; all of it is right."""
        folder = self.root / ROCKET / "1"
        command = ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = (folder / "SHA256SUMS").read_text().splitlines()
        return {line.partition("  ci/build/build/")[2] for line in lines}

    def recorded(self) -> dict[str, dict[str, object]]:
        """The entries of ``run.json`` by path."""
        about = json.loads((self.root / ROCKET / "1/run.json").read_text())
        return {it["path"].removeprefix("ci/build/build/"): it for it in about["artifacts"]}


def organisation(files: dict[str, bytes]) -> Scenario:
    artifacts = tuple(ScenarioArtifact(f"./{name}", data=data) for name, data in files.items())
    run = ScenarioRun("1", "success", age=86_400.0, cubes=(Cube(artifacts=artifacts),))
    return Scenario(api=small_organisation().api, repos=(Repo(ROCKET, runs=(run,)),))


def test_every_format_is_unpacked_recorded_verified_repaired_and_removed(tmp_path: Path) -> None:
    files = {f"dist.{name}": pack(WHOLE) for name, pack in PACKERS.items()}
    files |= {"dist.zip": zip_of(FILES), "notes.txt": b"nothing", "other.zip": zip_of(FILES)}
    with running(organisation(files)) as service:
        user = Unpacking(tmp_path, service)
        assert user.run("sync", ROCKET)[0] == 0
        for name in PACKERS:
            assert user.unpacked(f"dist.{name}.d") == HELD
        assert user.unpacked("dist.zip.d") == FILES
        top = user.root / CUBE / "dist.tar.d"
        assert (top / "site/latest.html").readlink().name == "index.html"
        assert (top / "empty").is_dir()
        assert os.access(top / "run.sh", os.X_OK) == (
            os.access(top / "copy.html", os.X_OK) is False
        )
        folders = {f"dist.{name}.d/{path}" for name in PACKERS for path in HELD}
        assert user.named() == files.keys() | folders | {f"dist.zip.d/{path}" for path in FILES}
        about = user.recorded()
        kinds = {path: it.get("archive") for path, it in about.items()}
        assert kinds == {**{f"dist.{name}": name for name in PACKERS}, "dist.zip": "zip",
                         "notes.txt": None, "other.zip": "zip"}  # fmt: skip
        size = sum(len(it) for path, it in HELD.items() if path != "site/latest.html")
        assert about["dist.tar"]["unpacked"] == {"path": "ci/build/build/dist.tar.d", "files": 4,
                                                 "bytes": size}  # fmt: skip
        assert "unpacked" not in about["other.zip"]
        code, found, _ = user.run("verify")
        assert (code, found["extra"]) == (0, [])

        shutil.rmtree(user.root / ".artifact-sync")
        code, found, _ = user.run("adopt")
        assert (code, found["extra"]) == (0, [])
        left = user.root / ".artifact-sync/staging/0123456789abcdef.new.d"
        (left / "half").mkdir(parents=True)  # as a kill leaves it
        assert user.run("sync", ROCKET)[0] == 0
        assert not left.exists()
        assert user.run("verify")[0] == 0
        assert folders <= user.named()

        (top / "site/index.html").unlink()
        (user.root / CUBE / "dist.tar+xz.d/run.sh").write_text("spoilt")
        (user.root / CUBE / "dist.zip.d/stranger").write_text("a stranger's")
        code, found, _ = user.run("verify")
        assert code == 1
        assert found["missing"] == [f"{CUBE}/dist.tar.d/site/index.html",
                                    f"{CUBE}/dist.tar.d/site/latest.html"][:1]  # fmt: skip
        assert found["changed"] == [f"{CUBE}/dist.tar+xz.d/run.sh"]
        assert found["extra"] == [f"{CUBE}/dist.zip.d/stranger"]
        assert user.run("verify", "--repair")[0] == 0
        assert user.unpacked("dist.tar.d") == user.unpacked("dist.tar+xz.d") == HELD
        assert user.run("verify")[0] == 0
        user.named()

        assert user.run("forget", ROCKET, "1", "--delete", "--yes")[0] == 0
        left = {it.name for it in (user.root / ROCKET).rglob("*") if not it.is_dir()}
        assert left == {"stranger"}


def test_what_is_refused_is_told_by_each_pass_and_leaves_nothing(tmp_path: Path) -> None:
    files = {"dist.zip": SLIP, "dist.tar": tar_of({"a": b"1" * 2000}), "app.bin": b"an app"}
    with running(organisation(files)) as service:
        user = Unpacking(tmp_path, service)
        for _ in range(2):
            code, answer, _ = user.run("sync", ROCKET)
            (failure,) = answer["failures"]
            assert (code, failure["reason"], answer["found"]) == (1, "unsafe_archive", 3)
            assert "'../../../slip.txt'" in failure["message"]
        assert not (user.root / CUBE / "dist.zip.d").exists()
        assert not list(user.root.rglob("slip.txt"))
        assert not list((user.root / ".artifact-sync/staging").iterdir())
        assert "dist.zip" in user.named()
        assert user.run("verify")[0] == 0

        user.extract = "dist.tar"  # the rule leaves it out: no failure any more
        assert user.run("sync", ROCKET)[0] == 0


def test_a_rule_set_later_reaches_what_is_here_and_a_new_version_takes_the_place(
    tmp_path: Path,
) -> None:
    with running(organisation({"dist.zip": zip_of(FILES)})) as service:
        user = Unpacking(tmp_path, service)
        user.extract = ""
        assert user.run("sync", ROCKET)[0] == 0
        assert user.named() == {"dist.zip"}
        user.extract = "*.zip"
        stranger = user.root / CUBE / "dist.zip.d"
        stranger.write_text("in the way")
        code, answer, _ = user.run("sync", ROCKET)
        assert (code, answer["downloaded"]) == (0, 0)
        assert user.unpacked("dist.zip.d") == FILES
        assert len(user.named()) == 1 + len(FILES)
        shutil.rmtree(user.root / ".artifact-sync/displaced")

        user.extract = ""
        service.simulator.set_content(ROCKET, "1", "./dist.zip", zip_of({"new": b"new"}))
        assert user.run("sync", ROCKET, "--run", "1")[0] == 0
        assert user.named() == {"dist.zip"}
        assert not stranger.exists()
        assert user.run("verify")[0] == 0
