"""What the benchmark makes of its measurements: medians, pairs, goals, and earlier results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contenders import (
    ARIA2,
    DURABLE,
    FAST,
    FULL,
    RCLONE,
    WGET,
    check_sums,
)
from benchmarks.goals import goals
from benchmarks.measure import Phase, Sample, measure
from benchmarks.report import write
from benchmarks.results import Group, Results, Row, load, save

if TYPE_CHECKING:
    from pathlib import Path


def row(name: str, *walls: float, failure: str = "") -> Row:
    return Row(name, samples=[Sample(wall, wall, 10**7, 1, {}, failure) for wall in walls])


def group(which: str, *rows: Row) -> Group:
    return Group(which, "a title", list(rows), about={"date": "2026-11-26", "commit": "abc"})


def test_a_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_medians() -> None:
    of_one_round_each = group("1", row(ARIA2, 1, 10, 3), row(FAST, 1, 2, 6))
    assert of_one_round_each.ratio(ARIA2, FAST) == 1.0


def test_a_contender_that_failed_has_no_ratio_and_misses_its_goal() -> None:
    failed = group("1", row(ARIA2, 9, 9), row(RCLONE, 9, 9), row(FAST, 1, 1, failure="no manifest"))
    assert failed.ratio(ARIA2, FAST) is None
    verdicts = {goal.words[:17]: goal.verdict({"1"}) for goal in goals(Results({}, [failed]))}
    assert verdicts["small files, fast"] == "missed"


def test_goals_are_met_at_their_limit_and_missed_beyond_it() -> None:
    at_limit = group(
        "1", row(DURABLE, 8), row(FULL, 10), row(FAST, 5), row(ARIA2, 5), row(RCLONE, 5)
    )
    found = {goal.words[:17]: goal for goal in goals(Results({}, [at_limit]))}
    assert found["small files, fast"].verdict({"1"}) == "met"
    assert found["small files, full"].verdict({"1"}) == "met"
    beyond = group("1", row(DURABLE, 7.9), row(FULL, 10))
    found = {goal.words[:17]: goal for goal in goals(Results({}, [beyond]))}
    assert found["small files, full"].verdict({"1"}) == "missed"
    assert found["small files, full"].measured == "loop/ours 0.79"


def test_a_goal_whose_case_was_left_out_is_not_measured() -> None:
    found = {goal.words[:6]: goal for goal in goals(Results({}, []))}
    assert found["verify"].verdict(set()) == "not measured"


def test_a_case_that_is_measured_again_replaces_the_earlier_one_and_the_others_stay() -> None:
    earlier = Results({"CPU": "a"}, [group("1", row(FAST, 1)), group("3 TLS", row(FAST, 1))])
    now = Results({"CPU": "a"}, [group("1", row(FAST, 2)), group("2", row(FAST, 2))])
    merged = now.merged(earlier)
    assert [(it.id, it.rows[0].wall) for it in merged.groups] == [("1", 2), ("2", 2), ("3 TLS", 1)]


def test_results_of_another_machine_are_not_kept() -> None:
    earlier = Results({"CPU": "a"}, [group("1", row(FAST, 1))])
    assert Results({"CPU": "b"}, []).merged(earlier).groups == []


def test_results_are_the_same_when_they_are_read_again(tmp_path: Path) -> None:
    results = Results({"CPU": "a"}, [group("1", row(FAST, 1.5, 2.5)), group("2", row(WGET, 1))])
    save(tmp_path, results)
    assert load(tmp_path) == results


def test_a_failure_is_told_in_the_table_and_below_it(tmp_path: Path) -> None:
    failed = group("2", row(FAST, 1), row(WGET, 1, failure="there is no\nmanifest"))
    said = write(tmp_path, Results({"CPU": "a"}, [failed]))
    assert f"| {WGET} | FAILED |" in " ".join(said.split())
    assert f"- 2, {WGET}: there is no manifest" in said
    assert (tmp_path / "RESULTS.md").read_text().count("there is no manifest") == 1


def test_files_that_the_manifest_does_not_tell_of_are_noticed(tmp_path: Path) -> None:
    hashes = {"a.bin": "1" * 64, "b.bin": "2" * 64}
    assert check_sums(hashes, 3, tmp_path) == "there is no manifest"
    for name in hashes:
        (tmp_path / name).write_bytes(b"abc")
    lines = [f"{sha}  ./{name}\n" for name, sha in hashes.items()]
    (tmp_path / "SHA256SUMS").write_text(lines[0])
    assert check_sums(hashes, 3, tmp_path).startswith("the manifest tells of 1 files")
    (tmp_path / "SHA256SUMS").write_text("".join(lines))
    assert check_sums(hashes, 3, tmp_path) == ""
    assert check_sums(hashes, 4, tmp_path) == "2 files are of another size"


def test_a_run_is_timed_by_phases_with_what_its_children_used(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    burn = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done"
    phases = [Phase("one", ("sh", "-c", f"sh -c '{burn}'; true"), "said"), Phase("two", ("true",))]
    sample = measure(phases, folder, {"PATH": "/usr/bin:/bin"})
    assert sample.failure == ""
    assert list(sample.phases) == ["one", "two"]
    assert abs(sample.wall - sum(sample.phases.values())) < 0.001
    assert sample.cpu > 0.01
    assert (folder / "said").read_text() == "done\n"


def test_a_phase_that_fails_is_the_last_and_its_words_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    phases = [Phase("get", ("sh", "-c", "echo no such file >&2; exit 3")), Phase("sum", ("true",))]
    sample = measure(phases, folder, {"PATH": "/usr/bin:/bin"})
    assert sample.failure == "get ended with [3]: no such file"
    assert list(sample.phases) == ["get"]
