"""Single system calls that fail: what is told, what stands afterwards, what the next pass makes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from email.utils import formatdate

import pytest
from failing_calls import failing
from trial import Trial, noise

BIG = noise(13, 3 << 20)
SMALL = b"built at night"


@pytest.fixture
def durable(trial: Trial) -> Trial:
    trial.env["MIRROR__DURABILITY"] = "full"
    return trial


# Guards against: a failed fsync that is forgotten, because the next one has nothing to write.
@pytest.mark.parametrize("name", [".part", "linux/compile"], ids=["file", "folder"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
def test_what_could_not_be_synced_is_thrown_away_and_fetched_anew(
    durable: Trial, name: str, code: int
) -> None:
    file = durable.service.file(BIG)
    durable.plain_env = failing("fsync", code, name, times=1)
    outcome = durable.sync()
    assert outcome.exit_code == 6
    assert durable.has_nothing()
    assert list((durable.root / ".artifact-sync" / "staging").iterdir()) == []
    durable.plain_env = {}
    assert durable.sync().counts == (1, 1, 0, 0)
    assert durable.has(BIG)
    assert [visit.header("range") for visit in file.visits] == [None, None]


def test_a_small_file_that_could_not_be_synced_is_fetched_anew(durable: Trial) -> None:
    durable.service.file(SMALL)
    durable.plain_env = failing("fsync", errno.EIO, ".new", times=1)
    assert durable.sync().exit_code == 6
    assert durable.has_nothing()
    durable.plain_env = {}
    assert durable.sync().counts == (1, 1, 0, 0)
    assert durable.has(SMALL)


def test_a_new_folder_that_could_not_be_synced_is_made_anew(durable: Trial) -> None:
    durable.service.file(SMALL)
    durable.plain_env = failing("fsync", errno.EIO, "mirror/org", times=1)
    assert durable.sync().exit_code == 6
    assert not (durable.root / "org" / "repo").exists()
    durable.plain_env = {}
    assert durable.sync().exit_code == 0
    assert durable.has(SMALL)


# Guards against: a mode that could not be set and is passed over.
@pytest.mark.parametrize("code", [errno.EIO, errno.EPERM, errno.ENOSYS], ids=errno.errorcode.get)
def test_a_mode_that_cannot_be_set_is_told_and_set_by_the_next_pass(
    trial: Trial, code: int
) -> None:
    file = trial.service.file(BIG)
    trial.plain_env = failing("fchmod", code)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (6, ["disk"])
    (failure,) = outcome.failures
    assert "mode" in failure["message"]
    assert os.strerror(code) in failure["message"]
    assert trial.has_nothing()
    trial.plain_env = {}
    assert trial.sync().exit_code == 0
    assert trial.has(BIG)
    assert trial.place().stat().st_mode == trial.manifest().stat().st_mode
    assert len(file.visits) == 1


# Guards against: a file system that does not tell its size, taken for a full one.
@pytest.mark.parametrize("code", [0, errno.ENOSYS, errno.EOPNOTSUPP])
def test_free_space_that_is_not_told_is_not_known(trial: Trial, code: int) -> None:
    trial.service.file(BIG)
    trial.env["MIRROR__MIN_FREE"] = "1GiB"
    trial.plain_env = failing("statvfs", code)
    assert trial.sync().exit_code == 0
    assert trial.has(BIG)


# Guards against: a file system without locks told by the system's own words alone.
@pytest.mark.parametrize(
    "code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=errno.errorcode.get
)
def test_a_file_system_without_locks_is_told_with_advice(trial: Trial, code: int) -> None:
    trial.service.file(SMALL)
    trial.plain_env = failing("flock", code)
    outcome = trial.sync()
    assert outcome.exit_code == 6
    assert "offers no locks" in outcome.stderr + str(outcome.failures)
    assert "keep the mirror on another one" in outcome.stderr + str(outcome.failures)


# Guards against: a quota told as a full disk.
@pytest.mark.parametrize("name", [".part", ".new", ".artifact-sync/"])
def test_a_quota_is_called_a_quota(trial: Trial, name: str) -> None:
    trial.service.run({"app.bin": BIG, "notes.txt": SMALL})
    trial.plain_env = failing("write", errno.EDQUOT, name)
    outcome = trial.sync()
    assert outcome.exit_code == 6
    assert "quota" in outcome.stderr + str(outcome.failures)
    trial.plain_env = {}
    assert trial.sync().exit_code == 0
    assert trial.has(BIG)
    assert trial.has(SMALL, "notes.txt")


# Guards against: a disk's trouble at the ledger told as missing rights.
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EIO, "check the disk"),
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "mount it read-write"),
    ],
    ids=["EIO", "ENOSPC", "EDQUOT", "EROFS"],
)
@pytest.mark.parametrize("used_before", [False, True])
def test_a_ledger_that_the_disk_refuses_is_told_in_true_words(
    trial: Trial, code: int, words: str, *, used_before: bool
) -> None:
    trial.service.file(SMALL)
    if used_before:
        assert trial.sync().exit_code == 0
        trial.service.run({"app.bin": BIG}, "2")
    trial.plain_env = failing("open", code, "ledger.sqlite")
    outcome = trial.sync()
    assert outcome.exit_code == 6
    told = outcome.stderr + str(outcome.failures)
    assert words in told
    assert "ledger" in told
    assert "rights" not in told


# Guards against: a ledger that says "mirrored" of bytes that have been moved away already.
@pytest.mark.parametrize("moment", range(6))
def test_killed_while_a_file_is_replaced_row_and_file_agree(durable: Trial, moment: int) -> None:
    file = durable.service.file(BIG)
    assert durable.sync().exit_code == 0
    file.content, file.updated_at = SMALL, "2026-11-21T10:04:00Z"
    durable.service.repos["org/repo"][0].updated_at = "2026-11-21T10:05:00Z"
    durable.also_right = {BIG}
    durable.plain_env = failing("fsync", "kill", "org/repo/1", first=moment)
    process = durable.start()
    durable.finish(process)
    durable.plain_env = {}
    assert durable.verify()["changed"] == []
    assert durable.sync().exit_code == 0
    assert durable.has(SMALL)
    assert durable.displaced() == [BIG]


# Guards against: weaker evidence for good, because a checksum file came later than its subject.
def test_a_checksum_file_that_comes_later_vouches_all_the_same(trial: Trial) -> None:
    sums = f"{hashlib.sha256(BIG).hexdigest()}  app.bin\n".encode()
    trial.service.run({"app.bin": BIG, "app.bin.sha256": sums})
    trial.plain_env = failing("write", errno.EIO, "staging/", times=1)
    outcome = trial.sync()
    assert outcome.exit_code == 6
    assert [failure["local_path"] for failure in outcome.failures] == ["app.bin.sha256"]
    trial.plain_env = {}
    assert trial.sync().exit_code == 0
    about = json.loads(trial.manifest().with_name("run.json").read_bytes())
    (app,) = [it for it in about["artifacts"] if it["local_path"] == "app.bin"]
    assert app["strength"] == "digest"
    assert "sidecar:sha-256" in app["evidence"]


def test_a_ledger_of_which_sqlite_hides_what_is_wrong_blames_no_rights(trial: Trial) -> None:
    trial.service.file(SMALL)
    trial.plain_env = failing("open", errno.EIO, "ledger.sqlite", first=1)
    outcome = trial.sync()
    assert outcome.exit_code == 6
    told = outcome.stderr + str(outcome.failures)
    assert "cannot be opened: check the disk and its quota, and who may write to it" in told


# Guards against: a sync that fails since something that nobody needs cannot be removed.
@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO], ids=errno.errorcode.get)
def test_displaced_files_that_cannot_be_removed_are_a_warning_that_names_one(
    trial: Trial, code: int
) -> None:
    trial.service.file(SMALL)
    assert trial.sync().exit_code == 0
    old = trial.root / ".artifact-sync/displaced/20200101T000000Z/org/repo/1/old.bin"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    trial.service.api_headers["Date"] = formatdate(usegmt=True)
    trial.env["KEEP__DISPLACED"] = "30d"
    trial.plain_env = failing("unlinkat", code, "displaced/2020")
    outcome = trial.sync()
    assert (outcome.exit_code, old.exists()) == (0, True)
    assert "displaced files could not be removed" in outcome.stderr
    assert "20200101T000000Z/org/repo/1/old.bin" in outcome.stderr
    trial.plain_env = {}
    assert (trial.sync().exit_code, old.exists()) == (0, False)


# Guards against: one bad sector that keeps all else from being verified, or has a file moved away.
def test_a_file_that_the_disk_does_not_give_out_is_unreadable_and_the_others_are_verified(
    trial: Trial,
) -> None:
    trial.service.run({"app.bin": SMALL, "other.bin": b"another"})
    assert trial.sync().exit_code == 0
    trial.plain_env = failing("read", errno.EIO, "app.bin")
    found = trial.verify("--oldest", "100%", "--repair")
    assert (found["exit_code"], found["files"], len(found["unreadable"])) == (6, 2, 1)
    assert (found["missing"], found["changed"], found["repaired"]) == ([], [], [])
    assert trial.has(SMALL)
