"""What was in the way is accounted for: listed, put back and removed, also beside a daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from user import ARCHIVE, DAY, User, contents, organisation

from artifact_sync.simulator import Simulator, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROCKET = "acme/rocket"


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of which one file was changed and repaired, so that its old bytes are displaced."""
    with running_in_thread(organisation()) as service:
        user = User(tmp_path_factory.mktemp("home"), service)
        assert user.sync(ROCKET).code == 0
        archive(user).write_bytes(b"changed")
        assert user.run("verify", "--repair", "--root", user.root).code == 0
        assert user.files() == contents(service.simulator, ROCKET)
    return user.root


@pytest.fixture
def user(repaired: Path, tmp_path: Path) -> User:
    user = User(tmp_path, "http://127.0.0.1:9")
    shutil.copytree(repaired, user.root, symlinks=True)
    return user


def archive(user: User) -> Path:
    return next(user.root.glob(f"{ROCKET}/[0-9]*/*/*/*/{ARCHIVE.removeprefix('./')}"))


def displaced(user: User, *arguments: str) -> dict:
    return user.run("displaced", *arguments, "--root", user.root, "--json").answer


def test_it_is_listed_for_people_and_programs(user: User) -> None:
    path = str(archive(user).relative_to(user.root))
    (file,) = displaced(user, "list")["displaced"]
    assert (file["path"], file["size"]) == (path, len(b"changed"))
    assert file["place"].endswith(f"Z/{path}")
    done = user.run("displaced", "list", "--root", user.root)
    assert done.code == 0
    assert file["place"] in done.out


def test_restore_replaces_nothing_and_says_so(user: User) -> None:
    good = archive(user).read_bytes()
    (file,) = displaced(user, "list")["displaced"]
    answer = displaced(user, "restore", file["place"])
    assert (answer["complete"], answer["exit_code"], answer["restored"]) == (False, 1, [])
    assert answer["left"] == [file]
    assert archive(user).read_bytes() == good


@pytest.mark.parametrize("name", ["place", ".artifact-sync/displaced/", "path"])
def test_restore_takes_what_the_list_prints_or_the_path_in_the_mirror(
    user: User, name: str
) -> None:
    (file,) = displaced(user, "list")["displaced"]
    where = archive(user)
    where.unlink()
    named = file.get(name) or name + file["place"]
    done = user.run("displaced", "restore", named, "--root", user.root)
    assert done.code == 0, done.err
    assert where.read_bytes() == b"changed"
    assert displaced(user, "list")["displaced"] == []


def test_a_path_that_was_displaced_twice_is_named_with_its_places(user: User) -> None:
    (file,) = displaced(user, "list")["displaced"]
    again = f"20200101T000000Z/{file['path']}"
    place = user.root / ".artifact-sync/displaced" / again
    place.parent.mkdir(parents=True)
    place.write_bytes(b"older")
    done = user.run("displaced", "restore", file["path"], "--root", user.root)
    assert (done.code, done.out) == (2, "")
    assert f"was displaced more than once: name one of {again}, {file['place']}\n" in done.err
    assert "see docs: troubleshooting/disk#displaced\n" in done.err


def test_empty_removes_what_is_old_enough_and_nothing_else(user: User) -> None:
    attic = user.root / ".artifact-sync/displaced"
    (young,) = displaced(user, "list")["displaced"]
    old = attic / "20200101T000000Z-2" / "acme/rocket/1/x"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"12")
    answer = displaced(user, "empty", "--older-than", "30d")
    assert [it["path"] for it in answer["removed"]] == ["acme/rocket/1/x"]
    assert displaced(user, "list")["displaced"] == [young]
    assert not (attic / "20200101T000000Z-2").exists()
    done = user.run("displaced", "empty", "--older-than", "30d", "--root", user.root)
    assert (done.code, done.out) == (0, "removed 0 files (0 B)\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["empty"], "--older-than"),
        (["empty", "--older-than", "soon"], "soon"),
        (["restore", "../../etc"], "is not in"),
        (["restore", ""], "is not in"),
        (["restore", "20200101T000000Z"], "displaced list"),
    ],
)
def test_what_cannot_be_meant_is_refused(user: User, arguments: list[str], words: str) -> None:
    done = user.run("displaced", *arguments, "--root", user.root)
    assert done.code == 2
    assert words in done.err


def test_without_a_mirror_nothing_is_made(tmp_path: Path) -> None:
    user = User(tmp_path, "http://127.0.0.1:9")
    done = user.run("displaced", "list", "--root", user.root)
    assert done.code == 2
    assert "nothing is mirrored in" in done.err
    assert not user.root.exists()


@pytest.mark.skipif(os.name == "nt", reason="flock")
def test_it_works_beside_whoever_holds_the_mirror(user: User) -> None:
    import fcntl  # noqa: PLC0415 - there is none on Windows

    with (user.root / ".artifact-sync/lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert len(displaced(user, "list")["displaced"]) == 1
        assert displaced(user, "empty", "--older-than", "1d")["removed"] == []


@pytest.mark.parametrize("ahead", [0.0, 365 * DAY, -365 * DAY])
def test_a_pass_empties_by_a_rule_and_a_clock_that_the_service_confirms(
    user: User, ahead: float
) -> None:
    """The service's clock is right, or a year off: then ours may be the wrong one."""
    old = user.root / ".artifact-sync/displaced/20200101T000000Z/acme/rocket/1/x"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"12")
    simulator = Simulator(organisation())
    simulator.advance(ahead)
    with running_in_thread(simulator) as service:
        url = {"ARTIFACT_SYNC_SOURCE__BASE_URL": service.base_url}
        assert user.sync(ROCKET, **url).code == 0
        assert old.exists()
        done = user.sync(ROCKET, **url, ARTIFACT_SYNC_KEEP__DISPLACED="30d")
    assert done.code == 0
    assert old.exists() == bool(ahead)
    assert ("files=1 size=2 B" in done.err) == (not ahead)
    (young,) = displaced(user, "list")["displaced"][bool(ahead) :]
    assert young["size"] == len(b"changed")


@pytest.mark.root
@pytest.mark.skipif(sys.platform != "linux", reason="mounts, as Linux does")
def test_one_that_cannot_be_removed_holds_back_no_other(user: User) -> None:
    attic = user.root / ".artifact-sync/displaced"
    files = [attic / f"20200101T00000{number}Z/acme/x" for number in range(3)]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"12")
    with mounted(files[0]), running_in_thread(organisation()) as service:
        environ = {"ARTIFACT_SYNC_SOURCE__BASE_URL": service.base_url}
        done = user.sync(ROCKET, **environ, ARTIFACT_SYNC_KEEP__DISPLACED="30d")
        assert done.code == 0
        assert "displaced files could not be removed" in done.err
        assert "files=1 size=2 B" not in done.err
        assert [it.exists() for it in files] == [True, False, False]
        files[2].parent.mkdir(parents=True)
        files[2].write_bytes(b"12")
        done = user.run("displaced", "empty", "--older-than", "1d", "--root", user.root, "--json")
        answer = done.answer
        assert (done.code, answer["exit_code"], answer["complete"]) == (6, 6, False)
        assert [it["place"] for it in answer["left"]] == [str(files[0].relative_to(attic))]
        assert [it["place"] for it in answer["removed"]] == [str(files[2].relative_to(attic))]
        (failure,) = answer["failures"]
        assert failure["message"].endswith(
            "something is mounted there, or it is in use: unmount it"
        )
    assert displaced(user, "empty", "--older-than", "1d")["left"] == []


@contextmanager
def mounted(file: Path) -> Iterator[None]:
    """A file that the system does not remove, whoever asks."""
    command = ["mount", "--bind", str(file), str(file)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield
    subprocess.run(["umount", str(file)], check=True)
