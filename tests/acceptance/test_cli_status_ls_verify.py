"""``status``, ``ls`` and ``verify``: what they tell of a mirror, and what a repair does to it."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from user import ARCHIVE, PAGE, REPORT, SIDECAR, User, contents, organisation

from artifact_sync.simulator import Running, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROCKET, WEBSITE = "acme/rocket", "acme/website"
TWO_TRIES = {"ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "2"}
GONE = "the file's server answered 404 (NoSuchKey)"
GONE_RE = re.escape(GONE)

ALL_OK = "24 ok, 0 missing, 0 changed, 0 extra\n"
"""16 files, and two manifests for each of the four runs."""
HINT = "artifact-sync verify --repair fetches damaged files again\n"


def place(local_path: str, run: str = "1", repo: str = ROCKET) -> str:
    cube = "docs/site/pages" if local_path == PAGE else "ci/build/build"
    return f"{repo}/{run}/{cube}/{local_path.removeprefix('./')}"


pytestmark = pytest.mark.xdist_group("mirrored")  # two mirrors for all


@pytest.fixture(scope="module")
def mirrored(service: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete mirror of the organisation, to be copied."""
    maker = User(tmp_path_factory.mktemp("maker"), service)
    assert maker.sync("acme/*").code == 0
    return maker.root


@pytest.fixture
def owner(user: User, mirrored: Path) -> User:
    """A user with a complete mirror."""
    shutil.copytree(mirrored, user.root, symlinks=True)
    return user


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose mirror lacks a file of run 2 of the rocket, which is gone upstream."""
    with running_in_thread(organisation()) as running:
        running.simulator.remove_file(ROCKET, "2", REPORT)
        user = User(tmp_path_factory.mktemp("poor"), running)
        assert user.sync(ROCKET, "acme/docs", **TWO_TRIES).code == 1
        yield user


@pytest.mark.parametrize("command", ["status", "ls"])
def test_while_nothing_is_mirrored_yet_there_is_nothing_to_tell(user: User, command: str) -> None:
    empty = {"status": {"repositories": [], "daemon": None}, "ls": {"artifacts": []}}
    done = user.run(command, "--root", user.root, "--json")
    assert (done.code, done.answer, done.err) == (0, empty[command], "")
    assert not user.root.exists()


def test_while_nothing_is_mirrored_yet_there_is_nothing_to_verify(user: User) -> None:
    done = user.run("verify", "--root", user.root)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"artifact-sync: nothing is mirrored in {user.root} yet, or ")
    assert not user.root.exists()


def test_status_is_a_line_a_repository_and_its_last_error(poor: User) -> None:
    done = poor.run("status", "--root", poor.root)
    head, docs, rocket, missed, error = done.out.splitlines()
    size = sum(map(len, poor.files().values()))
    assert (done.code, done.err) == (0, "")
    columns = "REPOSITORY   RUNS  FILES       SIZE  OUTSTANDING  VERIFIED  LAST PASS  LAST COMPLETE"
    assert head == columns
    assert docs.split()[:5] == ["acme/docs", "0", "0", "0", "B"]
    assert docs.split()[-1] == "ago"
    assert rocket.split()[:6] == [ROCKET, "4", "11", f"{size / 1024:.1f}", "KiB", "1"]
    assert rocket.split()[-1] == "never"
    assert missed == "acme/rocket: 1 file vanished upstream before it was mirrored"
    assert error == f"last error of acme/rocket: {GONE}"


def test_status_as_json(poor: User) -> None:
    done = poor.run("status", "--root", poor.root, "--json")
    docs, rocket = done.answer["repositories"]
    for name in ("last_pass", "last_mirrored", "oldest_verified"):
        assert datetime.fromisoformat(rocket.pop(name)).tzinfo is not None
    assert rocket == {
        "repo": ROCKET, "runs": 4, "settled": 2, "bytes": sum(map(len, poor.files().values())),
        "states": {
            "mirrored": 11, "wanted": 0, "pending": 0, "failed": 0, "lost": 0, "gone": 1,
            "expired": 0, "refused": 0, "forgotten": 0,
        },
        "newest_run": "4", "last_complete": None, "last_error": GONE,
        "vanishing": 0, "expired": 0, "lost": 0, "displaced_bytes": 0,
        "shared_bytes": 0, "pruned_runs": 0,
    }  # fmt: skip
    assert (docs["repo"], docs["runs"], docs["last_error"]) == ("acme/docs", 0, "")
    assert docs["last_complete"] == docs["last_pass"]


def test_ls_is_a_line_an_artifact_with_the_last_error_of_what_is_not_there(poor: User) -> None:
    done = poor.run("ls", ROCKET, "--run", "2", "--root", poor.root)
    head, *lines = done.out.splitlines()
    columns = [line.split(maxsplit=5) for line in lines]
    assert (done.code, head) == (0, "STATE           SIZE EVIDENCE      AGE  PATH")
    assert [(it[0], it[3], it[-1].split("ago  ")[-1]) for it in columns] == [
        ("mirrored", "digest", place(ARCHIVE, "2")),
        ("mirrored", "checksum", place(SIDECAR, "2")),
        ("gone", columns[2][3], f"{place(REPORT, '2')}  (vanished unmirrored; {GONE})"),
        ("mirrored", "checksum", place(PAGE, "2")),
    ]
    assert "39.1 KiB" in lines[0]


def test_several_repositories_are_told_of_and_no_others(owner: User) -> None:
    """Guards against: commands that take one name only, or none."""
    names = (ROCKET, f"https://sourcecraft.dev/{WEBSITE}/cicd")
    status = owner.run("status", *names, "--root", owner.root, "--json").answer
    assert [it["repo"] for it in status["repositories"]] == [ROCKET, WEBSITE]
    listed = owner.run("ls", *names, "--root", owner.root, "--json").answer["artifacts"]
    assert {it["repo"] for it in listed} == {ROCKET, WEBSITE}
    one = owner.run("verify", ROCKET, "--root", owner.root, "--json").answer["ok"]
    two = owner.run("verify", *names, f"{ROCKET}/", "--root", owner.root, "--json").answer["ok"]
    assert 0 < one < two
    for command in ("status", "ls", "verify"):
        refused = owner.run(command, ROCKET, "acme/rockt", "--root", owner.root)
        assert (refused.code, refused.out) == (2, "")
        assert "nothing of acme/rockt is mirrored; what is: acme/" in refused.err


def completed(owner: User, line: str) -> list[str]:
    """What a shell is offered for the last word of a line."""
    count = str(len(line.split(" ")) - 1)
    done = owner.run(_ARTIFACT_SYNC_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=count)
    assert (done.code, done.err) == (0, "")
    return [it.removeprefix("plain,") for it in done.out.splitlines() if it]


def test_repositories_and_runs_are_completed_from_the_ledger(owner: User) -> None:
    """Guards against: completion that knows words only, or shows a traceback."""
    begin = f"artifact-sync ls --root {owner.root}"
    assert completed(owner, f"{begin} ") == ["acme/docs", ROCKET, WEBSITE]
    assert completed(owner, f"{begin} acme/r") == [ROCKET]
    assert completed(owner, f"{begin} {ROCKET} acme/") == ["acme/docs", WEBSITE]
    named = ["4", "3", "2", "1", "latest", "latest-success"]
    assert completed(owner, f"{begin} {ROCKET} --run ") == named
    assert completed(owner, f"{begin} --state e") == ["expired"]
    assert completed(owner, f"artifact-sync sync --root {owner.root} acme/w") == [WEBSITE]
    assert completed(owner, "artifact-sync ls --root /nowhere acme/") == []
    broken = owner.folder / "broken.toml"
    broken.write_text("no toml")
    assert completed(owner, f"artifact-sync status --config {broken} a") == []


def test_ls_as_json_holds_what_the_ledger_knows_of_each(poor: User) -> None:
    listed = poor.run("ls", ROCKET, "--run", "2", "--root", poor.root, "--json")
    archive, _, report, _ = listed.answer["artifacts"]
    vanishes = datetime.fromisoformat(archive.pop("vanishes_at"))
    assert (vanishes - datetime.now(UTC)).days in {10, 11}  # it is three days old
    for name in ("first_seen", "mirrored_at", "verified_at", "run_created_at", "version"):
        assert datetime.fromisoformat(archive.pop(name)).tzinfo is not None
    sums = (poor.root / ROCKET / "1/SHA256SUMS").read_text()
    where = {"repo": ROCKET, "run": "2", "workflow": "ci", "task": "build", "cube": "build"}
    assert len(archive.pop("sha256")) == len(sums.split()[0])
    assert archive == where | {
        "local_path": ARCHIVE, "kind": "artifact", "state": "mirrored",
        "path": place(ARCHIVE, "2"), "size": 40_000,
        "strength": "digest", "evidence": ["sidecar:sha-256", "etag:md5", "length"],
        "attempts": 0, "reason": None, "message": None,
        "wanted": True, "here": True, "upstream": "listed", "lost_since": None,
    }  # fmt: skip
    for name in ("first_seen", "run_created_at", "version"):
        del report[name]
    assert report == where | {
        "local_path": REPORT, "kind": "artifact", "state": "gone", "path": None, "size": None,
        "sha256": None, "strength": None, "evidence": [], "attempts": 1, "mirrored_at": None,
        "reason": "gone", "message": GONE, "wanted": True, "here": False, "upstream": "gone",
        "verified_at": None, "vanishes_at": None, "lost_since": None,
    }  # fmt: skip


def test_ls_lists_newest_runs_first_and_all_repositories_unless_one_is_named(owner: User) -> None:
    listed = owner.run("ls", "--root", owner.root, "--json").answer["artifacts"]
    runs = [(it["repo"], it["run"]) for it in listed]
    assert list(dict.fromkeys(runs)) == [
        (ROCKET, "3"), (ROCKET, "2"), (ROCKET, "1"), (WEBSITE, "1"),
    ]  # fmt: skip
    assert {it["path"] for it in listed} == owner.files().keys()
    one = owner.run("ls", WEBSITE, "--root", owner.root)
    assert (one.code, len(one.out.splitlines())) == (0, 5)


def test_a_mirror_as_it_should_be_is_ok_with_its_manifests(owner: User) -> None:
    done = owner.run("verify", "--root", owner.root)
    assert (done.code, done.out, done.err) == (0, ALL_OK, "")


def test_one_repository_alone_can_be_verified(owner: User) -> None:
    (owner.root / place(PAGE)).unlink()
    done = owner.run("verify", WEBSITE, "--root", owner.root, "--json")
    assert (done.code, done.answer["missing"], done.answer["extra"]) == (0, [], [])
    assert owner.run("verify", ROCKET, "--root", owner.root, "--json").answer["missing"] == [
        place(PAGE)
    ]


@pytest.mark.parametrize("name", ["acme/*", "acme/rockte"])
def test_what_looks_at_no_file_is_no_success(owner: User, name: str) -> None:
    (owner.root / place(PAGE)).unlink()
    assert owner.run("verify", name, "--root", owner.root).code != 0


def spoil(path: Path) -> bytes:
    """Change a byte of a file, not its size; the bytes that it now has."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return path.read_bytes()


def test_changed_files_alone_are_exit_code_5_also_where_their_size_is_right(owner: User) -> None:
    spoil(owner.root / place(ARCHIVE))
    (owner.root / place(PAGE, "2")).write_text("short")
    done = owner.run("verify", "--root", owner.root)
    second, first, *rest = done.out.splitlines(keepends=True)
    assert done.code == 5
    assert second.startswith(f"changed  {place(PAGE, '2')} (5 bytes, SHA-256 ")
    assert first.startswith(f"changed  {place(ARCHIVE)} (40,000 bytes, SHA-256 ")
    assert rest == ["22 ok, 0 missing, 2 changed, 0 extra\n", HINT]


def test_missing_files_alone_are_exit_code_1_and_so_are_both(owner: User) -> None:
    (owner.root / place(REPORT)).unlink()
    done = owner.run("verify", "--root", owner.root)
    assert done.code == 1
    assert done.out == (f"missing  {place(REPORT)}\n23 ok, 1 missing, 0 changed, 0 extra\n{HINT}")
    spoil(owner.root / place(REPORT, "1", WEBSITE))
    both = owner.run("verify", "--root", owner.root, "--json")
    assert both.code == 1
    assert both.answer == {
        "exit_code": 1, "ok": 22, "missing": [place(REPORT)],
        "changed": [place(REPORT, "1", WEBSITE)], "extra": [], "repaired": [], "unreadable": [],
        "whole": True, "files": 16, "bytes": both.answer["bytes"],
    }  # fmt: skip


def test_files_that_nobody_recorded_are_told_and_are_no_fault(owner: User) -> None:
    extras = [
        f"{ROCKET}/1/ci/build/stray", f"{ROCKET}/7/stray", f"{ROCKET}/stray", "acme/stray",
        "other/repo/1/stray", "stray",
    ]  # fmt: skip
    for extra in extras:
        (owner.root / extra).parent.mkdir(parents=True, exist_ok=True)
        (owner.root / extra).write_text("mine")
    done = owner.run("verify", "--root", owner.root, "--repair", "--json")
    assert (done.code, sorted(done.answer["extra"])) == (0, extras)
    assert all((owner.root / extra).read_text() == "mine" for extra in extras)


def test_damaged_manifests_are_found_and_repaired(owner: User, service: Running) -> None:
    folders = [owner.root / ROCKET / run for run in ("1", "2", "3")] + [owner.root / WEBSITE / "1"]
    names = ["SHA256SUMS", "SHA256SUMS", "run.json", "run.json"]
    manifests = [folder / name for folder, name in zip(folders, names, strict=True)]
    right = [manifest.read_bytes() for manifest in manifests]
    sums, lost_sums, lost, about = (str(path.relative_to(owner.root)) for path in manifests)
    altered = spoil(manifests[0])
    manifests[1].unlink()
    manifests[2].unlink()
    manifests[3].write_text(json.dumps({"mine": True}))
    done = owner.run("verify", "--root", owner.root, "--json")
    assert (done.code, done.answer["ok"]) == (1, 20)
    assert set(done.answer["changed"]) == {sums, about}
    assert set(done.answer["missing"]) == {lost_sums, lost}
    service.simulator.requests.clear()
    assert owner.run("verify", "--root", owner.root, "--repair").code == 0
    assert [manifest.read_bytes() for manifest in manifests] == right
    assert owner.displaced() == {sums: altered, about: b'{"mine": true}'}
    assert service.simulator.requests["file"] == 0


def test_repair_fetches_damaged_files_again_and_keeps_the_damaged_ones_apart(
    owner: User, service: Running
) -> None:
    altered = spoil(owner.root / place(ARCHIVE, "2"))
    (owner.root / place(PAGE, "1", WEBSITE)).unlink()
    service.simulator.requests.clear()
    done = owner.run("verify", "--root", owner.root, "--repair")
    assert done.code == 0
    assert f"path={place(ARCHIVE, '2')}" in done.err  # as a pass tells of what it moves away
    assert "moved_to=.artifact-sync/displaced/" in done.err
    assert done.out.splitlines()[-1] == "22 ok, 1 missing, 1 changed, 0 extra, 2 repaired"
    assert service.simulator.requests["file"] == 2
    assert owner.files() == contents(service.simulator)
    assert len(owner.runs()) == 4
    assert owner.displaced() == {place(ARCHIVE, "2"): altered}
    assert owner.run("verify", "--root", owner.root).out == ALL_OK


def test_repair_fetches_nothing_that_was_not_damaged(user: User, service: Running) -> None:
    assert user.sync(WEBSITE, "--include", REPORT).code == 0
    spoil(user.root / place(REPORT, "1", WEBSITE))
    service.simulator.requests.clear()
    assert user.run("verify", "--root", user.root, "--repair").code == 0
    assert user.files().keys() == {place(REPORT, "1", WEBSITE)}
    assert service.simulator.requests["file"] == 1


def test_repair_mends_what_the_configuration_wants_no_more(owner: User, service: Running) -> None:
    (owner.root / place(PAGE, "1", WEBSITE)).unlink()
    file = owner.folder / "mine.toml"
    file.write_text('[mirror]\nroot = "mirror"\n[[repo]]\nname = "acme/*"\nworkflows = ["ci"]\n')
    done = owner.run("verify", "--repair", "--config", file)
    assert (done.code, done.out.split(", ")[-1]) == (0, "1 repaired\n")
    assert owner.files() == contents(service.simulator)
    assert len(owner.runs()) == 4


def test_a_repair_that_cannot_be_done_says_so(guest: User, own_service: Running) -> None:
    assert guest.sync(WEBSITE).code == 0
    altered = spoil(guest.root / place(REPORT, "1", WEBSITE))
    (guest.root / place(PAGE, "1", WEBSITE)).unlink()
    own_service.simulator.remove_file(WEBSITE, "1", REPORT)
    arguments = ("verify", WEBSITE, "--root", guest.root, "--repair")
    done = guest.run(*arguments, **TWO_TRIES)
    assert done.code == 5
    assert re.search(
        rf"  {place(REPORT, '1', WEBSITE)}: lost since .*{GONE_RE} \[lost\]\n", done.out
    )
    assert done.out.endswith(", 1 missing, 1 changed, 0 extra, 1 repaired\n")
    assert guest.displaced() == {place(REPORT, "1", WEBSITE): altered}
    assert place(REPORT, "1", WEBSITE) not in guest.files()
    about = json.loads((guest.root / WEBSITE / "1/run.json").read_bytes())
    assert [it["path"] for it in about["missing"]] == [f"ci/build/build/{REPORT}"]
    listed = guest.run("ls", "--root", guest.root, "--json").answer["artifacts"]
    assert [it["message"] for it in listed if it["state"] != "mirrored"] == [GONE]
    left = guest.run("verify", "--root", guest.root, "--json")
    assert (left.code, left.answer["missing"]) == (1, [place(REPORT, "1", WEBSITE)])


def test_a_repair_takes_no_other_bytes_of_the_version_that_is_recorded(
    guest: User, own_service: Running
) -> None:
    assert guest.sync(WEBSITE).code == 0
    path = place(REPORT, "1", WEBSITE)
    right = guest.files()[path]
    altered = spoil(guest.root / path)
    own_service.simulator.corrupt_file(WEBSITE, "1", REPORT, b"somebody else's report")
    done = guest.run("verify", WEBSITE, "--root", guest.root, "--repair")
    assert done.code == 5
    assert "but the ledger says" in done.out
    assert path not in guest.files()
    assert guest.displaced() == {path: altered}
    own_service.simulator.corrupt_file(WEBSITE, "1", REPORT, right)
    assert guest.sync(WEBSITE).code == 0
    assert guest.files()[path] == right
    listed = guest.run("ls", "--root", guest.root, "--json").answer["artifacts"]
    (evidence,) = [it["evidence"] for it in listed if it["path"] == path]
    assert evidence == ["ledger:sha-256", "etag:md5", "length"]


def test_a_repair_without_a_service_leaves_what_it_cannot_mend_for_the_next_one(
    owner: User, service: Running
) -> None:
    (owner.root / place(PAGE)).unlink()
    done = owner.run(
        "verify", "--root", owner.root, "--repair", "--json",
        SOURCECRAFT_TOKEN="pv1_other-not-for-anybodys-eyes",
    )  # fmt: skip
    assert (done.code, done.answer["missing"], done.answer["repaired"]) == (1, [place(PAGE)], [])
    assert owner.run("verify", "--root", owner.root, "--repair", "-q").code == 0
    assert owner.files() == contents(service.simulator)
