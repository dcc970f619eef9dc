"""Names that want out of the mirror, and odd ones that are good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hostile_service import Service
from trial import Outcome, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = b"built at night"

UNSAFE = {
    "up": "../x",
    "up-far": "../../../../../../../../tmp/x",
    "up-within": "a/../../x",
    "up-and-down": "a/../b",
    "up-only": "..",
    "up-at-the-end": "a/..",
    "up-backslashes": "..\\..\\x",
    "absolute": "/etc/x",
    "absolute-twice": "//etc/x",
    "drive": "C:\\x",
    "drive-slash": "C:/x",
    "drive-relative": "C:x",
    "drive-after-dot": "./C:/x",
    "unc": "\\\\server\\share\\x",
    "unc-device": "\\\\?\\C:\\x",
    "nul-byte": "a\0b",
    "nul-byte-at-the-end": "x\0",
    "newline": "a\nb",
    "carriage-return": "a\rb",
    "escape": "a\x1b[31mb",
    "delete": "a\x7fb",
    "c1-control": "a\x9bb",
    "backslash": "a\\b",
    "trailing-dot": "name.",
    "trailing-space": "name ",
    "trailing-dot-of-a-folder": "folder./x",
    "trailing-space-of-a-folder": "folder /x",
    "three-dots": ".../x",
    "space-alone": " ",
    "device": "CON",
    "device-with-suffix": "nul.txt",
    "device-lower": "com1",
    "device-as-folder": "aux/x",
    "device-superscript": "COM¹",
    "device-with-space": "PRN .txt",
    "300-bytes": "x" * 300,
    "300-bytes-of-cyrillic": "ж" * 150,
    "300-bytes-folder": "x" * 300 + "/x",
    "nothing-but-dots": "./.",
    "slash-alone": "/",
    "very-deep": "d/" * 2000 + "x",
}

LEGAL = {
    "./a/b": "a/b",
    "././deep//er": "deep/er",
    ".thing.output.json": ".thing.output.json",
    "a..b": "a..b",
    "..a/b..c": "..a/b..c",
    "dist/": "dist",
    "сборка/журнал и отчёт.txt": "сборка/журнал и отчёт.txt",
    "with space/and another.txt": "with space/and another.txt",
    " leading space": " leading space",
    "-rf": "-rf",
    "~root": "~root",
    "$HOME": "$HOME",
    "🦄.tar.gz": "🦄.tar.gz",
    "%2e%2e/%2Fetc": "%2e%2e/%2Fetc",
    "con-artist.txt": "con-artist.txt",
    "SHA256SUMS": "SHA256SUMS",
    "run.json": "run.json",
    ".artifact-sync/ledger.db": ".artifact-sync/ledger.db",
    "latest": "latest",
    "x" * 255: "x" * 255,
    "a,b;c=d&e'f(g)[h]{i}!@#^`": "a,b;c=d&e'f(g)[h]{i}!@#^`",
}


pytestmark = pytest.mark.xdist_group("paths")  # two passes for all


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Trial, Outcome]]:
    """One pass over a run for each unsafe name, each beside a good one."""
    with Service() as service:
        guarded = tmp_path_factory.mktemp("paths") / "guarded"
        guarded.mkdir()
        trial = Trial(service, guarded)
        for number, name in enumerate(UNSAFE.values(), 1):
            service.run({name: b"unsafe", "app.bin": CONTENT}, str(number))
        outcome = trial.sync()
        yield trial, outcome


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_name_is_refused_and_the_file_beside_it_comes(
    tried: tuple[Trial, Outcome], name: str
) -> None:
    trial, outcome = tried
    run = str(list(UNSAFE).index(name) + 1)
    (failure,) = (failure for failure in outcome.failures if failure["run"] == run)
    assert failure["reason"] == "unsafe_path"
    assert trial.place(run=run).read_bytes() == CONTENT
    about = json.loads((trial.manifest(run).parent / "run.json").read_text())
    assert [it["reason"] for it in about["refused"]] == ["unsafe_path"]


def test_unsafe_names_leave_nothing_anywhere(tried: tuple[Trial, Outcome]) -> None:
    trial, outcome = tried
    assert (outcome.exit_code, set(outcome.reasons)) == (1, {"unsafe_path"})
    assert outcome.counts == (2 * len(UNSAFE), len(UNSAFE), 0, len(UNSAFE))
    assert {path.read_bytes() for path in trial.files()} == {CONTENT}
    assert len(trial.files()) == len(UNSAFE)
    assert trial.staged() == 0
    unsafe = [file for run in trial.service.repos["org/repo"] for file in run.files]
    assert all(file.visits == [] for _, file in unsafe if file.content == b"unsafe")


@pytest.mark.parametrize("name", [*LEGAL, "nfc-é", "nfd-é"])
def test_a_legal_odd_name_works(legal: tuple[Trial, Outcome], name: str) -> None:
    trial, _ = legal
    place = trial.place(LEGAL.get(name, name))
    assert place.read_bytes() == f"of {name}".encode()


def test_a_run_of_odd_names_is_complete(legal: tuple[Trial, Outcome]) -> None:
    trial, outcome = legal
    assert (outcome.exit_code, outcome.failures) == (0, [])
    assert trial.manifest().exists()


@pytest.fixture(scope="module")
def legal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Trial, Outcome]]:
    with Service() as service:
        guarded = tmp_path_factory.mktemp("paths") / "guarded"
        guarded.mkdir()
        trial = Trial(service, guarded)
        service.run({name: f"of {name}".encode() for name in [*LEGAL, "nfc-é", "nfd-é"]})
        yield trial, trial.sync()


def test_a_name_that_is_not_unicode_is_refused(trial: Trial) -> None:
    trial.service.run({"a\udc80b": b"unsafe", "app.bin": CONTENT})
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert outcome.reasons in [["unsafe_path"], ["bad_answer"]]
    assert [path.read_bytes() for path in trial.files()] == [CONTENT]


def test_a_name_that_windows_forbids_is_kept_within_its_cube_or_refused(trial: Trial) -> None:
    names = ["a*b.txt", "a?b", "a:stream", 'a"b', "a<b>c", "a|b"]
    trial.service.run({name: f"of {name}".encode() for name in names})
    outcome = trial.sync()
    assert set(outcome.reasons) <= {"unsafe_path"}
    assert len(trial.files(trial.place("."))) + len(outcome.failures) == len(names)
    assert len(trial.files()) + len(outcome.failures) == len(names)
