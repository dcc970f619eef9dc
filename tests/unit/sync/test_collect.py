"""Sorting a run's artifacts out: selected, pending, skipped."""

from __future__ import annotations

import time

import pytest

from artifact_sync.domain.model import Artifact, CubeKey, Problem, RepoName, Run, RunKey
from artifact_sync.domain.settings import DEFAULT_LAYOUT, RepoSettings
from artifact_sync.sync.collect import Collected, collect
from artifact_sync.sync.rules import Rules

RUN = RunKey(RepoName("org", "repo"), "7")


def rules(**settings) -> Rules:
    return Rules.of(RepoSettings(name="org/repo", **settings), DEFAULT_LAYOUT)


def artifact(path: str, status: str = "success", url: str = "", **where: str) -> Artifact:
    cube = CubeKey(
        RUN, where.get("workflow", "build"), where.get("task", "t"), where.get("cube", "c")
    )
    return Artifact(cube.artifact(path), status, url=url)


def run(*artifacts: Artifact, problems: tuple[Problem, ...] = ()) -> Run:
    return Run(RUN, "success", artifacts=artifacts, problems=problems)


def test_a_run_without_artifacts_collects_nothing():
    assert collect(run(), rules()) == Collected((), (), (), frozenset())


def test_what_is_there_is_selected_in_the_order_of_the_tree():
    tree = [artifact("b"), artifact("a", cube="z"), artifact("a", cube="#git-clone")]
    assert collect(run(*tree), rules()) == Collected(selected=tuple(tree))


def test_what_may_yet_come_is_pending_and_what_never_comes_is_skipped():
    tree = [
        artifact("a", "registered"),
        artifact("b", "failed"),
        artifact("c", "missing"),
        artifact("d", "AS_SUCCESS"),
        artifact("e", ""),
        artifact("f"),
    ]
    assert collect(run(*tree), rules()) == Collected(
        selected=(tree[5],),
        pending=(tree[0], tree[3], tree[4]),
        unknown=frozenset({"AS_SUCCESS", ""}),
    )


def test_what_the_rules_leave_out_is_skipped_whatever_its_status():
    tree = [artifact("a.log", "registered"), artifact("b.log"), artifact("c.log", "odd")]
    found = collect(run(*tree, artifact("d.txt")), rules(exclude=("*.log",)))
    left = {"rest": (artifact("b.log"),), "whole": False}
    assert found == Collected(selected=(artifact("d.txt"),), **left)


def test_the_same_path_in_two_cubes_is_two_artifacts():
    tree = [artifact("a", cube="one"), artifact("a", cube="two"), artifact("a", task="other")]
    assert collect(run(*tree), rules()).selected == tuple(tree)


@pytest.mark.parametrize(
    ("mentions", "kept"),
    [
        ([artifact("a", "registered"), artifact("a")], 1),
        ([artifact("a"), artifact("a", "registered", "https://h/x")], 0),
        ([artifact("a"), artifact("a", url="https://h/x")], 1),
        ([artifact("a", url="https://h/1"), artifact("a", url="https://h/2")], 0),
        ([artifact("a", "failed"), artifact("a"), artifact("a", url="https://h/x")], 2),
    ],
)
def test_an_artifact_listed_twice_counts_once_by_its_best_mention(mentions, kept):
    assert collect(run(*mentions), rules()) == Collected(selected=(mentions[kept],))


def test_an_artifact_listed_twice_stays_at_its_first_place():
    better = artifact("a", url="https://h/x")
    tree = [artifact("a", "registered"), artifact("b"), better]
    assert collect(run(*tree), rules()).selected == (better, artifact("b"))


def test_problems_of_workflows_that_are_left_out_are_nobodys_business():
    build, test = Problem("build", "t", "c", "no path"), Problem("test", "", "", "no slug")
    nowhere = Problem("", "", "", "a workflow without a slug")
    found = collect(run(problems=(build, test, nowhere)), rules(workflows=("build",)))
    assert found.problems == (build, nowhere)
    assert collect(run(problems=(build, test)), rules()).problems == (build, test)


def test_ten_thousand_artifacts_take_a_moment():
    tree = [artifact(f"reports/{n}/result-{n}.xml", cube=str(n % 600)) for n in range(10_000)]
    globs = tuple(f"reports/**/*-{n}.xml" for n in range(5))
    began = time.process_time()
    assert len(collect(run(*tree), rules(include=("*.xml",), exclude=globs)).selected) == 9_995
    assert time.process_time() - began < 2
