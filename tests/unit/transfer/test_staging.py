"""Staged files: what survives a restart, and what must not."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from artifact_sync.domain.errors import DiskError, IntegrityFailure
from artifact_sync.domain.model import ArtifactKey, FileState, Strength, Validator
from artifact_sync.transfer.evidence import Identity, claims
from artifact_sync.transfer.staging import StagedFile, StagedState, published_keys, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = ArtifactKey("org", "repo", "7", "wf", "task", "cube", "a.bin")
IDENTITY = Identity(
    Validator('"e1"'), 12, claims({"repr-digest": "md5=:" + "A" * 22 + "==:"}, partial=False)
)


@pytest.fixture
def staged(tmp_path: Path) -> StagedFile:
    staged = StagedFile(tmp_path, KEY, "v1")
    staged.begin(IDENTITY)
    staged.write(b"first ")
    staged.write(b"second")
    staged.close()
    return staged


def recovered(folder: Path, version: str = "v1", key: ArtifactKey = KEY) -> StagedFile:
    staged = StagedFile(folder, key, version)
    staged.recover()
    staged.close()
    return staged


@pytest.mark.usefixtures("staged")
def test_a_restart_takes_up_every_byte_its_identity_and_its_hashes(tmp_path: Path) -> None:
    again = recovered(tmp_path)
    assert again.offset == 12
    assert again.identity == IDENTITY
    assert again.hashes.sha256 == hashlib.sha256(b"first second").hexdigest()
    assert (
        again.hashes.digest("md5") == hashlib.md5(b"first second", usedforsecurity=False).digest()
    )
    assert again.resumable


def test_bytes_that_no_checkpoint_covers_are_cut_off(tmp_path: Path, staged: StagedFile) -> None:
    with staged.path.open("ab") as part:
        part.write(b"written when the power went")
    assert recovered(tmp_path).offset == 12
    assert staged.path.read_bytes() == b"first second"


def test_a_page_lost_in_a_power_cut_costs_only_what_came_after_it(
    tmp_path: Path, staged: StagedFile
) -> None:
    staged.path.write_bytes(b"first \0\0\0\0\0\0")
    again = recovered(tmp_path)
    assert again.offset == 6
    assert again.hashes.sha256 == hashlib.sha256(b"first ").hexdigest()


def test_a_torn_last_line_of_the_sidecar_is_passed_over(tmp_path: Path, staged: StagedFile) -> None:
    sidecar = staged.path.with_suffix(".json")
    sidecar.write_bytes(sidecar.read_bytes()[:-20])
    assert recovered(tmp_path).offset == 6


@pytest.mark.parametrize("content", [b"", b"{", b"[]\n", b"null\n", b'{"key":1}\n', b"\xff\n"])
def test_a_garbled_sidecar_means_starting_over(
    tmp_path: Path, staged: StagedFile, content: bytes
) -> None:
    staged.path.with_suffix(".json").write_bytes(content)
    again = recovered(tmp_path)
    assert again.offset == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("staged")
def test_another_version_of_the_artifact_never_continues_the_old_bytes(tmp_path: Path) -> None:
    assert recovered(tmp_path, "v2").offset == 0
    assert list(tmp_path.iterdir()) == []


def test_writing_goes_on_after_a_restart(tmp_path: Path, staged: StagedFile) -> None:
    again = StagedFile(tmp_path, KEY, "v1")
    again.recover()
    again.write(b" third")
    again.close()
    assert recovered(tmp_path).offset == 18
    assert staged.path.read_bytes() == b"first second third"


def test_without_a_validator_nothing_can_be_resumed(tmp_path: Path) -> None:
    staged = StagedFile(tmp_path, KEY, "v1")
    staged.begin(Identity())
    staged.write(b"bytes")
    staged.close()
    assert recovered(tmp_path).resumable is False


@pytest.mark.usefixtures("staged")
def test_the_last_word_survives_until_the_artifact_is_recorded(tmp_path: Path) -> None:
    again = StagedFile(tmp_path, KEY, "v1")
    again.recover()
    again.vouch(Strength.LENGTH, ("length",))
    again.path.unlink()  # published
    last = recovered(tmp_path)
    assert (last.state, last.offset) == (StagedState.PUBLISHED, 0)
    assert last.vouched is not None
    assert last.vouched.size == 12
    assert last.vouched.sha256 == hashlib.sha256(b"first second").hexdigest()
    assert last.vouched.evidence == ("length",)
    last.forget()
    assert list(tmp_path.iterdir()) == []


def test_a_symbolic_link_in_staging_is_not_written_through(
    tmp_path: Path, staged: StagedFile
) -> None:
    target = tmp_path / "victim"
    target.write_bytes(b"precious")
    staged.path.unlink()
    staged.path.symlink_to(target)
    again = StagedFile(tmp_path, KEY, "v1")
    with pytest.raises(DiskError, match="symbolic link"):
        again.recover()
    again.begin(IDENTITY)
    again.write(b"x")
    again.close()
    assert target.read_bytes() == b"precious"


def test_staged_files_are_the_owners_alone(staged: StagedFile) -> None:
    assert staged.path.stat().st_mode & 0o777 == 0o600
    assert staged.path.with_suffix(".json").stat().st_mode & 0o777 == 0o600


def test_the_sidecar_holds_the_host_and_never_the_link(tmp_path: Path) -> None:
    staged = StagedFile(tmp_path, KEY, "v1")
    staged.begin(Identity(host="store.example:9000"))
    staged.close()
    assert b"store.example:9000" in staged.path.with_suffix(".json").read_bytes()


def test_a_sweep_removes_temporaries_and_what_is_older_than_any_artifact(
    tmp_path: Path, staged: StagedFile
) -> None:
    (tmp_path / "half-renamed.tmp").write_bytes(b"x")
    old = tmp_path / "old.part"
    old.write_bytes(b"x")
    os.utime(old, (0, 0))
    (tmp_path / "orphan.part").write_bytes(b"x")
    sweep(tmp_path, 3600.0)
    assert not (tmp_path / "orphan.part").exists()
    names = {path.suffix for path in tmp_path.iterdir()}
    assert names == {".part", ".json"}
    assert staged.path.exists()
    assert not old.exists()


@pytest.mark.parametrize("content", [b"", bytes(40), b"[]\n", b'{"key": 5}\n'])
def test_a_sweep_removes_a_garbled_sidecar_without_bytes(tmp_path: Path, content: bytes) -> None:
    """Guards against: what a power cut has left stays in staging for days."""
    (tmp_path / "a.json").write_bytes(content)
    assert sweep(tmp_path, oldest=60) == set()
    assert list(tmp_path.iterdir()) == []


def test_its_state_says_how_far_it_has_come(tmp_path: Path) -> None:
    staged = StagedFile(tmp_path, KEY, "v1", recoverable=False)
    states = [staged.state]
    staged.begin(IDENTITY)
    states.append(staged.state)
    staged.write(b"twelve bytes")
    assert staged.complete
    staged.vouch(Strength.LENGTH, ("length",))
    states.append(staged.state)
    assert not staged.open
    assert staged.content.data == staged.path
    staged.published()
    states.append(staged.state)
    staged.forget()
    states.append(staged.state)
    empty, partial, vouched, published = StagedState
    assert states == [empty, partial, vouched, published, empty]
    assert not staged.on_disk


def test_what_was_judged_before_a_crash_is_ready_to_be_published(tmp_path: Path) -> None:
    staged = StagedFile(tmp_path, KEY, "v1")
    staged.begin(Identity())
    staged.write(b"of unknown length")
    staged.vouch(Strength.NONE, ())
    again = recovered(tmp_path)
    assert (again.state, again.complete) == (StagedState.VOUCHED, True)
    assert again.vouched == staged.vouched


def test_nothing_but_what_was_judged_can_be_published(tmp_path: Path, staged: StagedFile) -> None:
    for unjudged in (staged, StagedFile(tmp_path, KEY, "v2", recoverable=False)):
        with pytest.raises(ValueError, match="nothing vouches"):
            _ = unjudged.content


def in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"zero")


def anew(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"first secont")


# Guards against: a file published that is not what was hashed.
@pytest.mark.parametrize(
    "harm",
    [in_place, anew, Path.unlink, lambda path: os.truncate(path, 3)],
    ids=["in-place", "anew", "removed", "truncated"],
)
@pytest.mark.parametrize("moment", ["at the end", "in between"])
def test_bytes_that_another_program_has_changed_are_not_vouched_for(
    tmp_path: Path, harm: Callable[[Path], None], moment: str
) -> None:
    staged = StagedFile(tmp_path, KEY, "v1")
    staged.begin(IDENTITY)
    staged.write(b"first ")
    if moment == "in between":
        time.sleep(0.02)  # a file system's clock ticks every few milliseconds
        harm(staged.path)
    staged.write(b"second")
    if moment == "at the end":
        time.sleep(0.02)
        harm(staged.path)
    with pytest.raises(IntegrityFailure, match="changed while it came"):
        staged.vouch(Strength.LENGTH, ("length",))
    staged.close()


def test_bytes_that_another_program_has_only_touched_are_hashed_again(tmp_path: Path) -> None:
    staged = StagedFile(tmp_path, KEY, "v1")
    staged.begin(IDENTITY)
    staged.write(b"first second")
    time.sleep(0.02)
    os.utime(staged.path)
    staged.vouch(Strength.LENGTH, ("length",))
    assert staged.content.written == FileState.of(staged.path.stat())


def test_bytes_that_a_failed_publication_has_lost_are_forgotten(tmp_path: Path) -> None:
    staged = StagedFile(tmp_path, KEY, "v1")
    staged.begin(IDENTITY)
    staged.write(b"first second")
    staged.vouch(Strength.LENGTH, ("length",))
    staged.unpublished()
    assert staged.state is StagedState.VOUCHED
    staged.path.unlink()
    staged.unpublished()
    assert not staged.on_disk
    assert list(tmp_path.iterdir()) == []


def test_the_sidecar_of_a_published_file_names_its_artifact(
    tmp_path: Path, staged: StagedFile
) -> None:
    name = staged.path.stem
    assert published_keys(tmp_path, {name}) == {}
    staged.path.unlink()
    (tmp_path / "garbled.json").write_bytes(b"{\n")
    assert published_keys(tmp_path, {name, "garbled", "absent"}) == {name: KEY}


def test_the_mark_of_the_last_good_checkpoint_comes_back(tmp_path: Path) -> None:
    staged = StagedFile(tmp_path, KEY, "v1")
    staged.begin(IDENTITY)
    staged.write(b"page 1", mark="1")
    staged.write(b"page 2", mark="2")
    staged.close()
    staged.path.write_bytes(b"page 1 and what the power cut left")
    again = recovered(tmp_path)
    assert (again.offset, again.mark) == (6, "1")
    again = recovered(tmp_path)
    assert (again.offset, again.mark) == (6, "1")
