"""A ledger that is lost is made again from the files, and nothing is fetched twice."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from user import PAGE, REPORT, Done, User, organisation

from artifact_sync.domain.errors import DAEMON
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.simulator import running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from artifact_sync.simulator import Running

ROCKET, WEBSITE = "acme/rocket", "acme/website"
NEWS = {"first_seen", "verified_at"}
"""What a new ledger cannot know, or knows better."""


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete mirror of two repositories."""
    with running_in_thread(organisation()) as service:
        user = User(tmp_path_factory.mktemp("home"), service)
        assert user.sync(ROCKET, WEBSITE).code == 0
    return user.root


@pytest.fixture
def service() -> Iterator[Running]:
    with running_in_thread(organisation()) as running:
        yield running


@pytest.fixture
def user(mirrored: Path, tmp_path: Path, service: Running) -> User:
    """Somebody with a copy of the mirror, and a service that knows the same runs."""
    user = User(tmp_path, service)
    shutil.copytree(mirrored, user.root, symlinks=True)
    return user


def place(user: User, run: str, local_path: str, repo: str = ROCKET) -> Path:
    cube = "docs/site/pages" if local_path == PAGE else "ci/build/build"
    return user.root / repo / run / cube / local_path


def lose_ledger(user: User) -> list[dict]:
    """Remove all that is the program's own; what the ledger held."""
    rows = listed(user)
    shutil.rmtree(user.root / ".artifact-sync")
    return rows


def listed(user: User) -> list[dict]:
    rows = user.run("ls", "--root", user.root, "--json").answer["artifacts"]
    return [{name: it for name, it in row.items() if name not in NEWS} for row in rows]


def adopt(user: User, *arguments: str) -> dict:
    return user.run("adopt", *arguments, "--root", user.root, "--json").answer


def counts(answer: dict) -> tuple[int, int, int, int, int]:
    """Exit code, adopted, known, unfit, extra."""
    lists = (len(answer[name]) for name in ("adopted", "unfit", "extra"))
    adopted, unfit, extra = lists
    return answer["exit_code"], adopted, answer["known"], unfit, extra


def everything(user: User) -> dict[str, tuple[int, bytes]]:
    """All below the root, the program's own and times included."""
    return {
        str(path.relative_to(user.root)): (path.lstat().st_mtime_ns, b"")
        if path.is_symlink() or not path.is_file()
        else (path.lstat().st_mtime_ns, path.read_bytes())
        for path in user.root.rglob("*")
    }


def test_a_lost_ledger_is_made_again_and_all_tell_one_story(user: User) -> None:
    before = lose_ledger(user)
    assert counts(adopt(user)) == (0, 16, 0, 0, 0)
    after = listed(user)
    assert [{**row, "upstream": "listed"} for row in after] == before
    assert {row["upstream"] for row in after} == {"unknown"}
    done = user.run("verify", "--root", user.root)
    assert (done.code, done.out) == (0, "24 ok, 0 missing, 0 changed, 0 extra\n")
    assert user.sync(ROCKET, WEBSITE, "--json").counts == (16, 0, 16, 0)
    assert listed(user) == before
    assert user.runs() == {f"{ROCKET}/{it}" for it in "123"} | {f"{WEBSITE}/1"}
    assert counts(adopt(user)) == (0, 0, 16, 0, 0)
    assert user.displaced() == {}


def test_of_what_upstream_has_forgotten_nothing_is_lost(user: User, service: Running) -> None:
    before = lose_ledger(user)
    for run in "123":
        service.simulator.remove_run(ROCKET, run)
    assert counts(adopt(user, ROCKET)) == (0, 12, 0, 0, 0)
    assert user.sync(ROCKET, "--json").counts == (12, 0, 12, 0)
    kept = [row for row in before if row["repo"] == ROCKET]
    assert [row["path"] for row in listed(user)] == [row["path"] for row in kept]
    assert {row["upstream"] for row in listed(user)} == {"gone"}
    assert user.run("verify", "--root", user.root).code == 0


def test_a_dry_run_tells_the_same_and_changes_nothing_at_all(user: User) -> None:
    lose_ledger(user)
    place(user, "2", REPORT).write_bytes(b"spoilt")
    before = everything(user)
    rehearsed = adopt(user, "--dry-run")
    assert everything(user) == before
    assert counts(rehearsed) == (1, 15, 0, 1, 0)
    assert counts(adopt(user)) == counts(rehearsed)


def test_what_is_missing_or_changed_is_lost_and_comes_again(user: User) -> None:
    before = lose_ledger(user)
    place(user, "1", PAGE).unlink()
    place(user, "2", REPORT).write_bytes(b"spoilt")
    answer = adopt(user, ROCKET)
    assert counts(answer) == (1, 10, 0, 2, 0)
    told = {(it["path"], it["reason"]) for it in answer["unfit"]}
    page, report = (
        str(place(user, *it).relative_to(user.root)) for it in (("1", PAGE), ("2", REPORT))
    )
    assert told == {(page, "missing"), (report, "integrity")}
    lost = {row["path"]: row["lost_since"] for row in listed(user) if row["state"] == "lost"}
    assert lost.keys() == {page, report}
    assert all(lost.values())
    done = user.run("verify", ROCKET, "--root", user.root, "--json")
    assert (done.code, done.answer["missing"], done.answer["changed"]) == (1, [page], [report])
    assert user.sync(ROCKET, "--json").counts == (12, 2, 10, 0)
    assert user.run("verify", ROCKET, "--root", user.root).code == 0
    assert {row["sha256"] for row in before if row["repo"] == ROCKET} == {
        row["sha256"] for row in listed(user)
    }


def test_a_lost_file_stays_lost_since_when_its_manifest_says(user: User, service: Running) -> None:
    for run in "123":
        service.simulator.remove_run(ROCKET, run)
    page = place(user, "1", PAGE)
    saved = page.read_bytes()
    page.unlink()
    assert user.sync(ROCKET).code == 1
    (row,) = (row for row in listed(user) if row["state"] == "lost")
    lose_ledger(user)
    assert counts(adopt(user, ROCKET)) == (1, 11, 0, 1, 0)
    (again,) = (it for it in listed(user) if it["state"] == "lost")
    assert again["lost_since"] == row["lost_since"]
    assert user.sync(ROCKET, "--json").answer["lost"] == 1
    page.write_bytes(saved)
    assert counts(adopt(user, ROCKET)) == (0, 1, 11, 0, 0)
    assert user.sync(ROCKET, "--json").counts == (12, 0, 12, 0)


def test_it_adds_what_a_ledger_lacks_and_leaves_what_that_has(user: User) -> None:
    """As where a sync was quicker: it began a new ledger, and old runs are not in it."""
    lose_ledger(user)
    hint = user.sync(ROCKET, "--since", "5d")
    assert hint.err.count(HINT) == 1
    assert HINT not in user.sync(WEBSITE, "--since", "1s").err  # it knows some runs now
    before = listed(user)
    assert {row["run"] for row in before} == {"2", "3"}
    assert counts(adopt(user)) == (0, 8, 8, 0, 0)
    assert [row for row in listed(user) if row in before] == before
    assert user.sync(ROCKET, WEBSITE, "--json").counts == (16, 0, 16, 0)


def test_a_ledger_that_knows_no_run_is_told_of_adopt_each_time(user: User) -> None:
    """As where the first sync has failed, or ``ledger.url`` leads to an empty database."""
    lose_ledger(user)
    for _ in range(2):
        hint = user.sync("acme/typo")
        assert (hint.code, hint.err.count(HINT)) == (1, 1)
    assert counts(adopt(user)) == (0, 16, 0, 0, 0)


HINT = "there are runs of a mirror here, and no ledger"


def test_what_was_let_go_and_left_out_stays_so(user: User, service: Running) -> None:
    """The service still lists the files, and nobody asks for them."""
    assert user.run("forget", ROCKET, "2", PAGE, "--delete", "--yes", "--root", user.root).code == 0
    before = {row["local_path"]: row for row in lose_ledger(user) if row["run"] == "2"}
    assert before[PAGE]["state"] == "forgotten"
    assert counts(adopt(user)) == (0, 15, 0, 0, 0)
    rows = user.run("ls", "--all", "--root", user.root, "--json").answer["artifacts"]
    (row,) = (it for it in rows if it["state"] == "forgotten")
    names = ("repo", "run", "local_path", "wanted")
    assert [row[it] for it in names] == [before[PAGE][it] for it in names]
    service.simulator.requests.clear()
    assert user.sync(ROCKET, WEBSITE, "--json").counts == (15, 0, 15, 0)
    assert [seen for seen in service.simulator.requests if seen.kind == "file"] == []
    about = json.loads((user.root / ROCKET / "2/run.json").read_bytes())
    assert [it["state"] for it in about["not_mirrored"]] == ["forgotten"]
    assert user.run("remember", ROCKET, "2", "--root", user.root).code == 0
    assert user.sync(ROCKET, "--json").counts == (12, 1, 11, 0)


def test_a_file_that_was_let_go_and_stands_is_remembered_without_upstream(
    user: User, service: Running
) -> None:
    where = ("--root", user.root)
    assert user.run("forget", ROCKET, "2", PAGE, *where).code == 0
    assert user.run("forget", ROCKET, "1", PAGE, *where).code == 0
    before = lose_ledger(user)
    for run in "123":
        service.simulator.remove_run(ROCKET, run)
    place(user, "1", PAGE).write_bytes(b"spoilt")  # nobody cares, and nobody counts on it
    assert counts(adopt(user, ROCKET)) == (0, 10, 0, 0, 0)
    assert [row["local_path"] for row in listed(user) if row["state"] == "forgotten"] == [PAGE] * 2
    assert user.run("remember", ROCKET, *where).code == 0
    assert user.sync(ROCKET, "--json").counts == (11, 0, 11, 0)
    (page,) = (row for row in listed(user) if (row["run"], row["local_path"]) == ("2", PAGE))
    (old,) = (row for row in before if (row["run"], row["local_path"]) == ("2", PAGE))
    facts = ("path", "size", "sha256", "strength", "evidence", "mirrored_at")
    assert (page["state"], [page[it] for it in facts]) == ("mirrored", [old[it] for it in facts])


def test_files_that_nobody_recorded_are_told_and_left_alone(user: User) -> None:
    lose_ledger(user)
    extras = [f"{ROCKET}/1/ci/notes.txt", f"{ROCKET}/README", "notes.txt"]
    for path in extras:
        (user.root / path).write_bytes(b"mine")
    answer = adopt(user)
    assert counts(answer) == (0, 16, 0, 0, 3)
    assert sorted(answer["extra"]) == sorted(extras)
    assert {(user.root / path).read_bytes() for path in extras} == {b"mine"}


def test_a_run_without_its_manifest_is_not_guessed(user: User) -> None:
    lose_ledger(user)
    (user.root / ROCKET / "2/run.json").unlink()
    (user.root / ROCKET / "3/SHA256SUMS").unlink()
    answer = adopt(user, ROCKET)
    assert counts(answer) == (1, 8, 0, 1, 0)
    assert (answer["unfit"][0]["path"], answer["unfit"][0]["run"]) == (f"{ROCKET}/2", None)
    assert {row["run"] for row in listed(user)} == {"1", "3"}
    assert (user.root / ROCKET / "3/SHA256SUMS").exists()
    assert (user.root / ROCKET / "latest").readlink().name == "3"


def test_where_nothing_fits_nothing_is_made(user: User) -> None:
    lose_ledger(user)
    before = everything(user)
    done = user.run("adopt", "--root", user.root, ARTIFACT_SYNC_MIRROR__LAYOUT=OTHER_LAYOUT)
    assert done.code == 1
    assert "whose folder is" in done.out
    assert everything(user) == before
    assert counts(adopt(user)) == (0, 16, 0, 0, 0)


OTHER_LAYOUT = "{org}/{repo}/runs/{run}/{workflow}/{task}/{cube}/{local_path}"


def test_what_is_of_another_mirror_is_told_and_adopted_under_no_name(user: User) -> None:
    lose_ledger(user)
    shutil.copytree(user.root / ROCKET, user.root / "acme/copy", symlinks=True)
    (user.root / WEBSITE).rename(user.root / "website")
    foreign = user.root / ROCKET / "2/run.json"
    foreign.write_bytes(foreign.read_bytes().replace(b'"127.0.0.1', b'"ci.example'))
    answer = adopt(user)
    assert counts(answer)[:3] == (1, 8, 0)
    why = {it["path"]: it["message"] for it in answer["unfit"]}
    elsewhere = [f"acme/copy/{run}/run.json" for run in "13"] + ["website/1/run.json"]
    assert all("whose folder is acme/" in why[path] for path in elsewhere)
    assert "it was mirrored from 'ci.example" in why[f"{ROCKET}/2/run.json"]
    assert {(row["repo"], row["run"]) for row in listed(user)} == {(ROCKET, "1"), (ROCKET, "3")}
    assert b'"ci.example' in foreign.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_broken_off_it_has_adopted_whole_runs_and_goes_on(user: User) -> None:
    before = lose_ledger(user)
    (user.root / ROCKET / "1/ci/first.txt").write_bytes(b"mine")  # told when its run is adopted
    page = place(user, "2", PAGE)
    saved = page.read_bytes()
    os.truncate(page, 2**40)  # a hole, which takes hours
    done, shown = stopped_on_a_terminal(user, f"extra    {ROCKET}/1/ci/first.txt\n")
    assert (done.code, "stopped before it was done" in done.out) == (130, True)
    assert re.search(r"\d+%\|.*\| \d/8 files hashed, .* of .*B", shown)
    first = [row for row in before if (row["repo"], row["run"]) == (ROCKET, "1")]
    assert [row["path"] for row in listed(user)] == [row["path"] for row in first]
    page.write_bytes(saved)
    assert counts(adopt(user))[:3] == (0, 16 - len(first), len(first))


def stopped_on_a_terminal(user: User, line: str) -> tuple[Done, str]:
    """``adopt``, stopped behind a line when it shows progress; what the terminal was sent."""
    import fcntl  # noqa: PLC0415 - no such modules on Windows
    import pty  # noqa: PLC0415
    import termios  # noqa: PLC0415

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = user.command("adopt", "--root", user.root)
    with subprocess.Popen(
        command, cwd=user.folder, env=user.environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=theirs, text=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        assert process.stdout is not None
        assert process.stdout.readline() == line
        shown = b""
        while b"hashed" not in shown:
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # the other end is closed
            while some := os.read(ours, 65536):
                shown += some
        out = process.stdout.read()
    os.close(ours)
    user.check_words(out + shown.decode())
    return Done(process.returncode, out, ""), shown.decode()


def test_without_a_folder_there_is_nothing_to_adopt(user: User) -> None:
    shutil.rmtree(user.root)
    done = user.run("adopt", "--root", user.root, "--json")
    assert (done.code, done.answer["complete"]) == (2, False)
    assert "nothing is mirrored in" in done.err
    assert not user.root.exists()


def test_a_daemon_that_holds_the_mirror_is_to_be_stopped_first(user: User) -> None:
    with LocalMirror(user.root).locked(DAEMON):
        done = user.run("adopt", "--root", user.root)
        assert (done.code, "does not do this: stop it first" in done.err) == (7, True)
        assert user.run("adopt", "--root", user.root, "--dry-run").code == 0


def test_where_the_ledger_is_lost_other_commands_say_so(user: User) -> None:
    lose_ledger(user)
    for command in ("verify", "status"):
        done = user.run(command, "--root", user.root)
        assert "artifact-sync adopt makes it again" in done.out + done.err
