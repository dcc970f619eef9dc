"""``adopt`` over manifests that are damaged or mean harm: what fits is taken, nothing else."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.model import RepoName, State
from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.ledger import open_ledger
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.mirror.local.lock import LocalRepositoryLock
from artifact_sync.mirror.recorded_run import LARGEST, DamagedDocument, read_run
from artifact_sync.runtime.threads import Offload
from artifact_sync.sync.adopt_runs import Fit, Fitness, RunAdopter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from artifact_sync.domain.model import ArtifactRow
    from artifact_sync.domain.ports import Ledger

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
REPO = RepoName("acme", "rocket")
RUN = "acme/rocket/7"
GOOD, BAD = "ci/build/build/good.txt", "ci/build/build/bad.txt"
CONTENT = b"content"
SECRET = b"a stranger's secret"


def entry(path: str = BAD, **told: Any) -> dict[str, Any]:
    """What a manifest says of a file that stands as it says."""
    local_path = path.rpartition("/")[2]
    names = {"workflow": "ci", "task": "build", "cube": "build", "local_path": local_path}
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    facts = {"size": len(CONTENT), "sha256": sha256, "strength": "digest", "evidence": ["length"]}
    return {**names, "path": path, **facts, **told}


def document(*entries: Any, **told: Any) -> dict[str, Any]:
    who = {"org": "acme", "repo": "rocket", "run": "7", "status": "success", "source": "host"}
    return {"format": 1, "tool": "artifact-sync", **who, "artifacts": list(entries), **told}


class Place:
    """A folder with one run, whose good file stands."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run = root / RUN
        self.rows: dict[str, ArtifactRow] = {}
        for path in (GOOD, BAD):
            self.write(path, CONTENT)

    def write(self, path: str, content: bytes) -> None:
        (self.run / path).parent.mkdir(parents=True, exist_ok=True)
        (self.run / path).write_bytes(content)

    def adopt(self, about: dict[str, Any] | bytes, times: int = 1) -> list[Fit]:
        """Adopt with this manifest; what was found, and in ``rows`` what the ledger holds then."""
        content = about if isinstance(about, bytes) else json.dumps(about).encode()
        self.write("run.json", content)
        return asyncio.run(self._adopted(times))

    async def measured(self) -> tuple[int, int]:
        """How much was found below the root, and the peak of the memory for it."""
        with ThreadPoolExecutor(1) as pool:  # each thread has a buffer
            file = self.root.with_suffix(".sqlite")
            async with await open_ledger(file, durability="fast") as ledger:
                thresholds = gc.get_threshold()
                gc.collect()
                gc.freeze()  # what other tests have left says not when garbage is collected
                gc.set_threshold(200, 5, 1)  # what is garbage counts for nothing
                tracemalloc.start()
                try:
                    adopter = self._adopter(pool, ledger)
                    async with aclosing(adopter.look()) as fits:
                        found = sum([1 async for _ in fits])
                    return found, tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()
                    gc.set_threshold(*thresholds)
                    gc.unfreeze()

    def _adopter(self, pool: ThreadPoolExecutor, ledger: Ledger) -> RunAdopter:
        mirror = LocalMirror(self.root, durability="fast")
        layout, lock = Layout(DEFAULT_LAYOUT), LocalRepositoryLock()
        return RunAdopter(mirror, ledger, layout, lock, Offload(pool), NOW, lambda: False)

    async def _adopted(self, times: int) -> list[Fit]:
        with ThreadPoolExecutor(4) as pool:
            async with await open_ledger("sqlite://", durability="fast") as ledger:
                for _ in range(times):
                    async with aclosing(self._adopter(pool, ledger).look()) as fits:
                        found = [fit async for fit in fits]
                async with aclosing(ledger.listing()) as rows:
                    self.rows = {str(row.path): row async for row in rows}
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(SECRET)
    return Place(tmp_path / "mirror")


def unfit(fits: list[Fit]) -> list[Reason | None]:
    return [fit.reason for fit in fits if fit.fitness is Fitness.UNFIT]


def test_what_is_right_is_adopted(place: Place) -> None:
    fits = place.adopt(document(entry(GOOD), entry()))
    assert [fit.fitness for fit in fits] == [Fitness.ADOPTED, Fitness.ADOPTED]
    assert {row.state for row in place.rows.values()} == {State.MIRRORED}


LONG = "x" * 300
UNSAFE = [
    "/etc/passwd", "../8/run.json", "../../../outside/secret", "ci/../../8/x", "..", ".", "",
    "./x", "ci//x", "ci/build/", "ci\\..\\x", "C:/x", "C:x", "ci/x\0", "ci/x\n", "ci/\x1b[31m",
    "ci/\u2028", "ci/x ", "ci/x.", "con", "ci/nul.txt", "ci/a*b", "ci/\ud800", f"ci/{LONG}",
    "/".join("x" * 101), "SHA256SUMS", "run.json", "RUN.JSON", "sha256sums", "run.json/x",
]  # fmt: skip


@pytest.mark.parametrize("path", UNSAFE)
def test_a_path_that_leads_elsewhere_is_unfit_and_the_others_fit(place: Place, path: str) -> None:
    fits = place.adopt(document(entry(GOOD), entry(path, local_path="bad.txt")))
    assert unfit(fits) == [Reason.UNSAFE_PATH]
    assert place.rows.keys() == {f"{RUN}/{GOOD}"}
    kept = list((place.root / ".artifact-sync/displaced").glob(f"*/{RUN}/run.json"))
    assert len(kept) == 1  # what it said of the other one is not lost


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": -1}, {"size": 7.0}, {"size": 2**63}, {"size": True}, {"size": "7"},
        {"size": None}, {"size": 10**400}, {"sha256": "x"}, {"sha256": None}, {"sha256": 5},
        {"sha256": "A" * 64}, {"path": None}, {"path": ["x"]}, {"workflow": 7}, {"cube": None},
        {"evidence": "length"}, {"evidence": [1]}, {"strength": "perfect"}, {"etag": {}},
        {"mirrored_at": "yesterday"}, {"mirrored_at": 7}, {"version": [[]]},
        {"mirrored_at": "0001-01-01T00:00:00+23:59"}, {"etag": "x" * 70_000},
    ],
)  # fmt: skip
def test_an_entry_of_the_wrong_type_is_unfit_and_the_others_fit(
    place: Place, wrong: dict[str, Any]
) -> None:
    fits = place.adopt(document(entry(GOOD), {**entry(), **wrong}))
    assert unfit(fits) == [Reason.UNFIT]
    assert place.rows.keys() == {f"{RUN}/{GOOD}"}


@pytest.mark.parametrize("wrong", [None, 7, "x", [], [entry()], {}])
def test_an_entry_that_is_none_is_unfit_and_the_others_fit(place: Place, wrong: Any) -> None:
    assert unfit(place.adopt(document(entry(GOOD), wrong))) == [Reason.UNFIT]
    assert place.rows.keys() == {f"{RUN}/{GOOD}"}


@pytest.mark.parametrize(
    "other",
    [
        entry(GOOD),
        entry(GOOD, local_path="another"),
        entry(BAD, local_path="good.txt"),
        entry("ci/build/build/GOOD.TXT"),
        entry("ci/build/build/good\u200b.txt"),
    ],
)
def test_of_two_of_one_name_or_place_the_first_counts(place: Place, other: dict[str, Any]) -> None:
    fits = place.adopt(document(entry(GOOD), other))
    assert unfit(fits) == [Reason.COLLISION]
    assert place.rows.keys() == {f"{RUN}/{GOOD}"}


@pytest.mark.parametrize(
    "about",
    [
        {"org": "evil"}, {"repo": "other"}, {"run": "8"}, {"run": ""}, {"run": 7}, {"org": None},
        {"org": "..", "repo": ".."}, {"org": "a/b"}, {"repo": "x" * 5000}, {"run": "../7"},
        {"format": 3}, {"format": 0}, {"format": "1"}, {"format": True}, {"format": None},
        {"status": 5}, {"source": []}, {"created_at": "never"}, {"missing": "all"},
        {"missing": [5]}, {"artifacts": {}}, {"artifacts": None}, {"artifacts": "x"},
    ],
)  # fmt: skip
def test_a_manifest_of_another_run_or_form_is_unfit_as_a_whole(
    place: Place, about: dict[str, Any]
) -> None:
    told = document(entry(GOOD), **about)
    assert unfit(place.adopt(told)) == [Reason.UNFIT]
    assert place.rows == {}
    assert json.loads((place.run / "run.json").read_bytes()) == told


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"{", b"{}", b"\xff\xfe", b'{"format": 1, "org": "\xff"}', b"PK\x03",
        b'{"format": NaN}', b'{"format": 1e999}', b'{"format": Infinity}',
        b'{"format": ' + b"9" * 10_000 + b"}", b"[" * 200_000, b'{"artifacts": ' + b"[" * 200_000,
        b'{"a":' * 100_000, json.dumps(document(entry(GOOD))).encode()[:-1],
        json.dumps(document(entry(GOOD))).encode() + b"{}",
        b'{"format": 1, "format": 1}', b'\xef\xbb\xbf{"format": 1}',
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_unfit_as_a_whole(place: Place, content: bytes) -> None:
    assert unfit(place.adopt(content)) == [Reason.UNFIT]
    assert place.rows == {}
    assert (place.run / "run.json").read_bytes() == content


def test_a_manifest_that_is_too_large_is_not_read(place: Place) -> None:
    place.write("run.json", b"")
    os.truncate(place.run / "run.json", 100 * 2**30)  # a hole
    fits = asyncio.run(place._adopted(1))
    assert unfit(fits) == [Reason.UNFIT]
    assert f"{LARGEST:,} are the most" in fits[0].why


def to_outside(path: Path) -> None:
    path.symlink_to(path.parents[6] / "outside/secret")


def folder_outside(path: Path) -> None:
    path.parent.rename(path.parents[1] / "aside")
    path.parent.symlink_to(path.parents[1] / "aside")


@pytest.mark.parametrize("put", [to_outside, os.mkfifo, lambda path: path.mkdir(), folder_outside])
def test_nothing_but_a_regular_file_is_opened(place: Place, put: Callable[[Path], None]) -> None:
    sha256 = hashlib.sha256(SECRET).hexdigest()
    path = "ci/build/other/bad.txt"
    place.write(path, CONTENT)
    if put is not folder_outside:
        (place.run / path).unlink()
    put(place.run / path)
    told = entry(path, cube="other", size=len(SECRET), sha256=sha256)
    if put is folder_outside:
        told = entry(path, cube="other")
    fits = place.adopt(document(entry(GOOD), told))
    assert unfit(fits) == [Reason.MISSING]
    assert place.rows[f"{RUN}/{path}"].state is State.LOST


@pytest.mark.parametrize("put", [to_outside, os.mkfifo, lambda path: path.mkdir()])
def test_a_manifest_that_is_no_regular_file_is_unfit(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    place = Place(tmp_path / "a/b/c/d/mirror")
    put(place.run / "run.json")
    fits = asyncio.run(place._adopted(1))
    assert unfit(fits) == [Reason.UNFIT]
    assert place.rows == {}


def test_a_folder_that_is_a_link_is_not_entered(place: Place) -> None:
    place.adopt(document(entry(GOOD)))
    (place.root / "acme/rocket/8").symlink_to(place.run)
    (place.root / "evil").symlink_to(place.root.parent / "outside")
    fits = place.adopt(document(entry(GOOD)))
    told = {fit.path for fit in fits if fit.fitness is Fitness.EXTRA}
    assert told >= {"acme/rocket/8", "evil"}
    assert place.rows.keys() == {f"{RUN}/{GOOD}"}


def test_words_of_a_manifest_reach_no_terminal_as_they_are(place: Place) -> None:
    fits = place.adopt(document(entry("ci/\x1b[2J\n"), org="\x1b[31macme"))
    assert unfit(fits) == [Reason.UNFIT]
    assert all("\x1b" not in fit.why for fit in fits)
    fits = place.adopt(document(entry("ci/\x1b[2J\n")))
    assert all("\x1b" not in fit.why for fit in fits)


def test_too_many_faults_are_one(place: Place) -> None:
    fits = place.adopt(document(entry(GOOD), *[7] * 5000))
    assert unfit(fits) == [Reason.UNFIT]
    assert place.rows == {}


def test_a_name_that_another_layout_gave_is_adopted_where_it_stands(place: Place) -> None:
    place.write("build/good.txt", CONTENT)
    fits = place.adopt(document(entry("build/good.txt")))
    assert unfit(fits) == []
    assert place.rows[f"{RUN}/build/good.txt"].state is State.MIRRORED


def test_members_that_nobody_knows_are_passed_over(place: Place) -> None:
    more = {"workflows": [{"slug": "ci"}], "not_mirrored": [{"state": 5}], "later": {"x": [None]}}
    fits = place.adopt(document({**entry(GOOD), "later": {}}, format=2, **more))
    assert unfit(fits) == []
    assert place.rows.keys() == {f"{RUN}/{GOOD}"}


def absent(state: Any, name: str = "gone.txt", **told: Any) -> dict[str, Any]:
    who = {"workflow": "ci", "task": "build", "cube": "build", "local_path": name}
    return {**who, "state": state, "reason": "", "message": "", **told}


KEPT = [
    ("forgotten", {}, State.FORGOTTEN),
    ("pruned", {}, State.PRUNED),
    ("wanted", {}, State.WANTED),
    ("pruning", {}, State.FORGOTTEN),
    ("expired", {}, State.EXPIRED),
    ("pending", {}, State.PENDING),
    ("unwanted", {"reason": "who knows"}, State.UNWANTED),
    ("gone", {"reason": "gone"}, State.GONE),
    ("failed", {"reason": "cut", "message": "x" * 9000}, State.FAILED),
    ("refused", {"reason": "unsafe_path"}, State.REFUSED),
]


@pytest.mark.parametrize(("word", "told", "state"), KEPT)
def test_what_has_no_file_is_recorded_as_it_was(
    place: Place, word: str, told: dict[str, Any], state: State
) -> None:
    place.adopt(document(entry(GOOD), format=2, not_mirrored=[absent(word, **told)]), times=2)
    row = place.rows["None"]
    assert (row.state, row.key.local_path, row.sha256) == (state, "gone.txt", "")
    assert row.reason in {"", told.get("reason")}
    assert len(row.message) <= 4000


@pytest.mark.parametrize(
    "wrong",
    [
        absent("mirrored"), absent("lost"), absent("unavailable"), absent(""), absent(None),
        absent("failed"), absent("failed", reason="who knows"), absent("forgotten", "good.txt"),
        absent("forgotten", None), absent("forgotten", cube=7), absent("forgotten", "x" * 70_000),
        absent("forgotten", reason=[]), None, 7, [], {},
    ],
)  # fmt: skip
def test_what_makes_no_sense_of_what_has_no_file_is_passed_over(place: Place, wrong: Any) -> None:
    fits = place.adopt(document(entry(GOOD), format=2, not_mirrored=[wrong]))
    assert [fit.fitness for fit in fits if fit.row] == [Fitness.ADOPTED]
    assert place.rows.keys() == {f"{RUN}/{GOOD}"}
    assert len(place.adopt(document(entry(GOOD), format=2, not_mirrored=wrong))) == 2


def test_memory_does_not_grow_with_the_runs_and_little_with_their_files(tmp_path: Path) -> None:
    peaks = []
    for runs, files in ((1, 1), (10, 100), (20, 100), (1, 1000)):  # what is imported first counts
        place = Place(tmp_path / f"{runs}")
        for number in range(100, 100 + runs):
            for each in range(files):
                place.write(f"../{number}/ci/build/build/{each}", CONTENT)
            entries = [entry(f"ci/build/build/{each}") for each in range(files)]
            about = json.dumps(document(*entries, run=str(number))).encode()
            place.write(f"../{number}/run.json", about)
        peaks.append(asyncio.run(place.measured()))
    (_, least), (few, _), (many, more), (one, large) = peaks
    assert (few, many, one) == (1001, 2001, 1001)
    # how many runs are in hand at a time depends on the load of the machine: about ten at most
    assert more < least + 1250 * 1000
    assert large < least + 2400 * 1000


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 700), st.integers(0, 60))
def test_a_damaged_manifest_is_read_or_refused(noise: bytes, at: int, length: int) -> None:
    content = json.dumps(document(entry(GOOD), entry())).encode()
    spoilt = content[:at] + noise + content[at + length :]
    with suppress(DamagedDocument):
        assert len(list(read_run(spoilt).files())) <= len(spoilt)
