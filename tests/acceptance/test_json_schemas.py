"""What the program prints and writes is as docs/reference/schemas/ promises, and no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from daemon_user import DaemonUser
from user import PAGE, REPORT, User, organisation

from artifact_sync.simulator import Running, running_in_thread
from reference.files_on_disk import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS = Path(__file__).parents[2] / "docs/reference/schemas"
SITE = "acme/website"
TWO_TRIES = {"ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "2"}


@pytest.fixture(scope="module")
def forgetful() -> Iterator[Running]:
    """The small organisation, without a file."""
    with running_in_thread(organisation()) as running:
        running.simulator.remove_file(SITE, "1", REPORT)
        yield running


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory, forgetful: Running) -> User:
    """Somebody with a mirror in which a file is missing and one is changed."""
    user = User(tmp_path_factory.mktemp("owner"), forgetful)
    done = user.sync("acme/*", "--json", **TWO_TRIES)
    check(done.answer, "sync")
    assert done.answer["failures"]
    return user


def check(answer: object, name: str) -> None:
    """Validate by a schema that allows no member that it does not have."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    for told in schema["$defs"].values():
        if "properties" in told:
            told["additionalProperties"] = False
    jsonschema.Draft202012Validator(schema).validate(answer)


def test_a_pass_and_one_that_cannot_begin(owner: User) -> None:
    done = owner.run("sync", "nowhere", "--root", owner.root, "--json")
    check(done.answer, "sync")
    assert (done.code, done.answer["failures"][0]["repo"]) == (2, None)


def test_a_dry_run(owner: User) -> None:
    done = owner.run("sync", SITE, "--root", "other", "--dry-run", "--json")
    check(done.answer, "sync-dry-run")
    assert (done.code, len(done.answer["plan"])) == (1, 4)


def test_status_and_ls(owner: User) -> None:
    check(owner.run("status", "--root", owner.root, "--json").answer, "status")
    listed = owner.run("ls", "--root", owner.root, "--json").answer
    check(listed, "ls")
    assert {"mirrored", "gone"} <= {it["state"] for it in listed["artifacts"]}


def test_a_verification_and_a_repair(owner: User) -> None:
    page = next(path for path in owner.root.glob(f"{SITE}/*/*/*/*/{PAGE}"))
    page.write_bytes(b"changed")
    found = owner.run("verify", "--root", owner.root, "--json").answer
    check(found, "verify")
    assert found["changed"]
    check(owner.run("verify", SITE, "--repair", "--root", owner.root, "--json").answer, "verify")


def test_what_was_displaced(owner: User) -> None:
    place = owner.root / ".artifact-sync/displaced/20260101T000000Z/acme/note.txt"
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    for words in (["list"], ["restore", "20260101T000000Z/acme"], ["empty", "--older-than", "1d"]):
        done = owner.run("displaced", *words, "--root", owner.root, "--json")
        check(done.answer, "displaced")
        assert done.code == 0


def test_the_check_of_a_configuration(owner: User) -> None:
    path = owner.folder / "wrong.toml"
    path.write_text("[download]\njobs = 0\n")
    done = owner.run("config", "check", "--config", path, "--json")
    found: dict[str, Any] = json.loads(done.out)
    check(found, "config-check")
    assert found["problems"]


def test_a_run_that_is_shown(owner: User) -> None:
    for repo, complete in ((SITE, False), ("acme/rocket", True)):
        done = owner.run("show", repo, "1", "--root", owner.root, "--json")
        check(done.answer, "show")
        assert (done.code, done.answer["complete"]) == (0, True)
        assert done.answer["run"]["mirror_complete"] == complete


@pytest.mark.parametrize(
    ("command", "schema"),
    [
        ("show acme/nowhere 1", "show"),
        ("displaced restore nowhere", "displaced"),
        ("hooks drop nothing", "hooks"),
        ("adopt nowhere", "adopt"),
        ("forget nowhere", ""),
        ("remember acme/rocket", ""),
    ],
)
def test_a_mistake_has_an_object(owner: User, command: str, schema: str) -> None:
    done = owner.run(*command.split(), "--root", owner.root, "--json")
    told = done.answer
    assert (done.code, told["complete"], told["exit_code"]) == (2, False, 2)
    (failure,) = told["failures"]
    assert (failure["reason"], failure["repo"]) == ("usage", None)
    assert failure["message"].splitlines()[0] in done.err
    if schema:
        check(told, schema)


def test_the_manifests(owner: User) -> None:
    found = list(owner.root.glob("*/*/*/run.json"))
    assert found
    for path in found:
        check(json.loads(path.read_bytes()), "run")


def test_the_status_beside_a_daemon_and_its_files(tmp_path: Path, forgetful: Running) -> None:
    user = DaemonUser(tmp_path, forgetful)
    user.configure(SITE)
    with user.daemon() as daemon:
        daemon.wait_for(lambda: bool(user.status()["repositories"]))
        check(state := user.status(), "status")
        assert state["daemon"]["repositories"]
        own = {it.name for it in (user.root / ".artifact-sync").iterdir()}
    known = {name.rstrip("/") for name in OWN}
    assert own <= known | {f"{name}{end}" for name in known for end in ("-wal", "-shm")}
    assert own >= {"ledger.sqlite", "lock", "id", "daemon.sock", "staging", "displaced"}
