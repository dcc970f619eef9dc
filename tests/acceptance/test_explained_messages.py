"""Messages of real calls end with the section of docs/troubleshooting/ that explains them."""

from __future__ import annotations

import fcntl
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from user import User

if TYPE_CHECKING:
    from collections.abc import Iterator

    from user import Done

    from artifact_sync.simulator import Running

DOCS = Path(__file__).parents[2] / "docs"
ROCKET = "acme/rocket"
LAYOUT = "{org}/{repo}/{run}/{task}/{workflow}/{cube}/{local_path}"
ONE_TRY = {"ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "1"}


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory, service: Running) -> User:
    """A user with a mirror, and with files that are wrong."""
    owner = User(tmp_path_factory.mktemp("owner"), service)
    assert owner.sync(ROCKET, "--run", "1").code == 0
    (owner.folder / "key.toml").write_text('[mirror]\nrot = "x"\n')
    (owner.folder / "value.toml").write_text("[download]\njobs = 0\n")
    (owner.folder / "token.toml").write_text('[source]\ntoken_file = "token"\n')
    (owner.folder / "token").write_text("pv1_x")
    (owner.folder / "token").chmod(0o644)
    (owner.folder / "some.sqlite").write_text(
        "some other file, longer than SQLite's header of 100" * 9
    )
    return owner


def explained(done: Done) -> str:
    """The section that the last line names: its words as they are read."""
    last = done.err.splitlines()[-1]
    named = re.fullmatch(r"see docs: (troubleshooting/\w+)#([a-z-]+)", last)
    assert named, (done.out, done.err)
    page = (DOCS / f"{named[1]}.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## .*{{#{named[2]}}}$[^#]*", page, re.MULTILINE)
    return " ".join(section.split())


@contextmanager
def locked(root: Path) -> Iterator[None]:
    with (root / ".artifact-sync" / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize(
    ("call", "environ", "code", "words"),
    [
        ("sync acme/rocket --root new", {"SOURCECRAFT_TOKEN": ""}, 3, "wants a token"),
        ("sync acme/rocket --root new", {"SOURCECRAFT_TOKEN": "x"}, 3, "refused the token"),
        ("sync acme/rockt --root new", {}, 1, "not found, or the token may not see it"),
        (
            "sync acme/rocket --root new",
            {"ARTIFACT_SYNC_SOURCE__BASE_URL": "http://127.0.0.1:1", **ONE_TRY},
            4,
            "no answer from",
        ),
        ("sync acme/rocket --run 4 --root new", {}, 1, "has not finished, its status is"),
        ("sync acme/rocket", {}, 2, "no mirror: give --root DIR"),
        ("sync --config no.toml", {}, 2, "there is no such file"),
        ("config check --config key.toml", {}, 2, "unknown key;"),
        ("config check --config value.toml", {}, 2, "expected"),
        ("config check --config token.toml", {}, 2, "others can read or write it"),
        ("verify --root nothing", {}, 2, "nothing is mirrored in"),
        ("ls acme/website --root mirror", {}, 2, "is mirrored; what is:"),
        (
            "ls --root mirror",
            {"ARTIFACT_SYNC_LEDGER__URL": "sqlite:///some.sqlite"},
            6,
            "is not a ledger but some other file",
        ),
        (
            "sync acme/rocket --root mirror",
            {"ARTIFACT_SYNC_MIRROR__LAYOUT": LAYOUT},
            2,
            "this mirror was laid out as",
        ),
        (
            "sync acme/rocket --root roomy",
            {"ARTIFACT_SYNC_MIRROR__MIN_FREE": "4000000TiB"},
            6,
            "MiB are free in the mirror's file system, and",
        ),
    ],
)  # fmt: skip
def test_a_message_leads_to_the_section_that_has_its_words(
    owner: User, call: str, environ: dict[str, str], code: int, words: str
) -> None:
    done = owner.run(*call.split(), **environ)
    assert done.code == code, (done.out, done.err)
    assert words in done.out + done.err
    assert words in explained(done)


def test_a_mirror_in_use_and_one_that_is_damaged_lead_there_too(owner: User) -> None:
    with locked(owner.root):
        busy = owner.sync(ROCKET)
    assert (busy.code, "is in use by" in explained(busy)) == (7, True)
    next(owner.root.glob("acme/rocket/1/docs/**/index.html")).unlink()
    found = owner.run("verify", "--root", owner.root)
    assert (found.code, "verify --repair fetches damaged files" in explained(found)) == (1, True)


def test_no_json_has_a_pointer(owner: User) -> None:
    done = owner.run("sync", "acme/rockt", "--root", "new", "--json")
    assert (done.code, done.err, "see docs" in done.out) == (1, "", False)
