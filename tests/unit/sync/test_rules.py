"""What a ``[[repo]]`` selects: runs, workflows and paths."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from artifact_sync.domain.model import FINISHED, UNFINISHED, CubeKey, RepoName, RunKey
from artifact_sync.domain.settings import DEFAULT_LAYOUT, RepoSettings
from artifact_sync.sync.rules import Rules

RUN = RunKey(RepoName("org", "repo"), "7")


def rules(**settings) -> Rules:
    return Rules.of(RepoSettings(name="org/repo", **settings), DEFAULT_LAYOUT)


def artifact(path: str, workflow: str = "build"):
    return CubeKey(RUN, workflow, "task", "cube").artifact(path)


def included(glob: str, path: str) -> bool:
    return rules(include=(glob,)).wants(artifact(path))


def test_without_settings_every_finished_run_and_every_artifact_is_wanted():
    everything = rules()
    assert all(everything.wants_run(status, "push") for status in FINISHED)
    assert everything.wants_run("success", "")
    assert everything.wants_run("failed", "an event of next year")
    assert everything.wants_workflow("whatever")
    assert everything.wants(artifact("./a/b"))
    assert everything.wants(artifact("."))
    assert not everything.wants(artifact(""))  # the log of its cube
    assert rules(logs=True).wants(artifact(""))


@pytest.mark.parametrize("status", sorted(UNFINISHED | {"", "SUCCESS", "a new status"}))
def test_a_run_that_is_not_known_to_be_finished_is_not_wanted(status):
    assert not rules().wants_run(status, "push")
    assert not rules(run_statuses=(status,)).wants_run(status, "push")


def test_run_statuses_and_events_narrow_the_runs():
    narrow = rules(run_statuses=("success", "failed"), events=("push",))
    assert narrow.wants_run("success", "push")
    assert narrow.wants_run("failed", "push")
    assert not narrow.wants_run("canceled", "push")
    assert not narrow.wants_run("success", "manual")
    assert not narrow.wants_run("success", "")


def test_workflows_are_globs_over_the_whole_slug():
    narrow = rules(workflows=("build-*", "release"))
    assert narrow.wants_workflow("build-linux")
    assert narrow.wants_workflow("release")
    assert not narrow.wants_workflow("release-2")
    assert not narrow.wants_workflow("prerelease")
    assert not narrow.wants_workflow("Release")
    assert not narrow.wants_workflow("release/x")
    assert narrow.wants(artifact("x", "release"))
    assert not narrow.wants(artifact("x", "test"))


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.xml", "report.xml"),
        ("*.xml", "a/b/report.xml"),
        ("report.xml", "a/b/report.xml"),
        ("report.xml", "./report.xml"),
        ("./report.xml", "report.xml"),
        ("report.xml/", "report.xml"),
        ("dist", "dist/"),
        ("dist/", "dist"),
        ("dist", "dist/a/b"),
        ("./dist/", "./dist/a/b"),
        ("dist", "packages/dist/a"),
        ("/dist", "dist/a"),
        ("dist/**", "dist/a/b"),
        ("dist/**", "dist/"),
        ("dist/*", "dist/a/b"),
        ("packages/dist", "packages/dist/a"),
        ("**/dist", "dist"),
        ("**/dist", "a/b/dist"),
        ("**/dist/*.js", "a/b/dist/c/d.js"),
        ("a/**/z", "a/z"),
        ("a/**/z", "a/b/c/z"),
        ("a/**/**/z", "a/b/z"),
        ("**", "a/b"),
        ("**", "."),
        ("*", ".hidden"),
        ("./", "a/b"),
        ("a**z", "a/b/z"),
        ("v?.bin", "v1.bin"),
        ("v[0-9].bin", "v1.bin"),
        ("v[!0-9].bin", "vx.bin"),
        ("v[^0-9].bin", "vx.bin"),
        ("v[]].bin", "v].bin"),
        ("v[a-].bin", "v-.bin"),
        ("v[", "v["),
        ("v[]", "v[]"),
        ("a+b(c)|d.$", "a+b(c)|d.$"),
        ("отчёт*", "сборка/отчёт за май.html"),
        ("и\u0306.txt", "\u0439.txt"),
        ("a//b/./c", "a/b//c"),
        ("x\ny", "x\ny"),
        ("*y", "x\ny"),
        ("/etc/*", "/etc/passwd"),
    ],
)
def test_a_glob_fits(glob, path):
    assert included(glob, path)
    assert not rules(exclude=(glob,)).wants(artifact(path))


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.xml", "report.XML"),
        ("*.xml", "report.xml.gz"),
        ("report.xml", "my-report.xml"),
        ("dist", "dist2/a"),
        ("dist", "mydist"),
        ("/dist", "packages/dist"),
        ("packages/dist", "other/packages/dist"),
        ("dist/*", "dist"),
        ("dist/**", "dist2"),
        ("**/dist", "mydist"),
        ("a/**/z", "a/bz"),
        ("a/**/z", "ab/z"),
        ("a/**/z", "az"),
        ("v?.bin", "v.bin"),
        ("v[0-9].bin", "vx.bin"),
        ("v[9-0].bin", "v5.bin"),
        ("v[\\d].bin", "v5.bin"),
        ("a.b", "axb"),
        ("", "a"),
    ],
)
def test_a_glob_does_not_fit(glob, path):
    assert not included(glob, path)


def test_exclude_wins_over_include():
    both = rules(include=("dist/**",), exclude=("*.map", "dist/tmp"))
    assert both.wants(artifact("dist/a.js"))
    assert not both.wants(artifact("dist/a.js.map"))
    assert not both.wants(artifact("dist/tmp/a.js"))
    assert not both.wants(artifact("src/a.js"))


def test_one_of_several_globs_is_enough():
    several = rules(include=("*.log", "*.txt"))
    assert several.wants(artifact("a.txt"))
    assert not several.wants(artifact("a.bin"))


@pytest.mark.parametrize(
    "glob",
    [
        "*a*a*a*a*a*a*a*b",
        "**/a*/**/a*/**/a*/**/a*/**/b",
        "?*?*?*?*?*?*?*?*b",
        "[a]*[a]*[a]*[a]*[a]*[a]*b",
    ],
)
@pytest.mark.parametrize("path", ["a" * 20_000, "a/" * 10_000])
def test_a_pathological_glob_takes_no_noticeable_time(glob, path):
    began = time.process_time()
    assert not included(glob, path)
    assert time.process_time() - began < 1


def test_the_fingerprint_is_short_and_stays_the_same_between_processes():
    assert rules().fingerprint == "89093fc46b162104"
    assert rules(include=("*.xml",)).fingerprint == "f5d9b363faef5a78"


def test_the_fingerprint_ignores_order_repeats_and_since():
    one = rules(include=("a", "b"), events=("push", "manual"), since=60.0)
    other = rules(include=("b", "a", "b"), events=("manual", "push"))
    assert one.fingerprint == other.fingerprint


def test_the_fingerprint_changes_with_all_that_decides_what_is_selected():
    variants = [
        rules(),
        rules(workflows=("a",)),
        rules(include=("a",)),
        rules(exclude=("a",)),
        rules(run_statuses=("a",)),
        rules(events=("a",)),
        rules(include=("a", "b")),
        rules(include=("a,b",)),
        Rules.of(RepoSettings(name="org/repo"), "{repo}/{local_path}"),
    ]
    assert len({variant.fingerprint for variant in variants}) == len(variants)


def test_the_horizon_is_as_far_back_as_since_says():
    now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    assert rules(since=86400.0).horizon(now) == datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert rules(since=0.0).horizon(now) == now


@pytest.mark.parametrize("since", [None, 1e11, 1e30, float("inf")])
def test_no_since_and_one_before_all_dates_have_no_horizon(since):
    assert rules(since=since).horizon(datetime(2026, 11, 23, tzinfo=UTC)) is None


def test_logs_are_wanted_by_their_key_and_workflow_alone():
    assert not rules().wants(artifact(""))
    assert rules(logs=True, include=("dist",), exclude=("*",)).wants(artifact(""))
    assert not rules(logs=True, workflows=("other",)).wants(artifact(""))
    assert rules(logs=True).line_without(artifact("")) == "logs = false"


def test_a_selection_without_logs_is_the_same_as_before_there_were_logs():
    assert rules(logs=False).fingerprint == rules().fingerprint != rules(logs=True).fingerprint
