"""Scenario files: what they may say, and how their mistakes are told."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from artifact_sync.domain.errors import ConfigError
from artifact_sync.simulator import (
    Cube,
    Repo,
    Scenario,
    ScenarioArtifact,
    ScenarioRun,
    Simulator,
    demo_scenario,
    demo_text,
    load_scenario,
    parse_scenario,
)
from artifact_sync.simulator.faults import CutFault, StatusFault

if TYPE_CHECKING:
    from pathlib import Path


KINDS = (
    "status, cut, stall, slow, delay, flip, truncate, lapse, ignore-range, wrong-range, error-page"
)


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_scenario(text, name="x.toml")
    return caught.value.problems


def test_sizes_and_durations_carry_units_and_keys_are_singular() -> None:
    scenario = parse_scenario(
        """
        [files]
        lifetime = "2m"
        bandwidth = "15MB"
        [[fault]]
        kind = "status"
        status = 429
        retry_after = "500ms"
        [[fault]]
        kind = "cut"
        every = 3
        [[repo]]
        name = "a/b"
        [[repo.run]]
        age = "2h"
        [[repo.run.cube]]
        slug = "#git-clone"
        artifact = [{ path = "x", size = "24MiB" }, { path = "y", base64 = "AAE=" }]
        """,
        name="x.toml",
    )
    assert (scenario.files.lifetime, scenario.files.bandwidth) == (120.0, 15_000_000)
    assert scenario.faults == (StatusFault(status=429, retry_after=0.5), CutFault(every=3))
    cube = Cube(
        "#git-clone",
        artifacts=(ScenarioArtifact("x", size=24 << 20), ScenarioArtifact("y", data=b"\0\1")),
    )
    assert scenario.repos == (Repo("a/b", runs=(ScenarioRun(age=7200.0, cubes=(cube,)),)),)


def test_every_problem_is_told_at_once_with_file_and_key() -> None:
    text = """
    sed = "x"
    [api]
    order = "random"
    page_size = 0
    [files]
    lifetime = "soon"
    [[fault]]
    kind = "cutt"
    [[fault]]
    kind = "cut"
    after = 2
    [[repo]]
    [[repo.run]]
    [[repo.run.cube]]
    artifact = [{ size = "1 apple" }, 3]
    """
    artifact = "x.toml: repo[0].run[0].cube[0].artifact"
    assert problems_of(text) == (
        "x.toml: sed: is not a key here; did you mean 'seed'?",
        "x.toml: api.page_size: Expected `int` >= 1",
        "x.toml: api.order: Invalid enum value 'random'",
        "x.toml: files.lifetime: expected a duration such as 30s, 5m, 2h, 7d or 1w",
        "x.toml: repo[0].name: is missing",
        f"{artifact}[0].path: is missing",
        f"{artifact}[0].size: expected a size such as 512, 100MiB or 1GB",
        f"{artifact}[1]: expected a table, got int",
        f"x.toml: fault[0].kind: expected one of {KINDS}",
        "x.toml: fault[1].after: Expected `float` <= 1.0",
    )


def test_values_that_do_not_go_together_are_told_all_at_once() -> None:
    text = """
    start = 2026-11-01T00:00:00
    [api]
    tokens = ["ключ"]
    [files]
    base_url = "localhost:80"
    [[fault]]
    kind = "flip"
    on = "api"
    [[fault]]
    kind = "status"
    status = 599
    [[repo]]
    name = "acme"
    [[repo.run]]
    slug = "1"
    count = 2
    [[repo.run.cube]]
    count = 2
    [[repo.run.cube]]
    artifact = [
      { path = "a", text = "x", size = 1 },
      { path = "b", count = 2 },
      { path = "c", size = 5, max_size = 4 },
      { path = "d", sha256_of = "nobody" },
    ]
    [[repo]]
    name = "Acme/x"
    [[repo]]
    name = "acme/X"
    """
    cube = "x.toml: repo[0].run[0].cube[1]"
    assert problems_of(text) == (
        "x.toml: start: needs a time zone, such as 2026-11-01T00:00:00Z",
        "x.toml: api.tokens: a token must be printable ASCII",
        "x.toml: files.base_url: expected an http or https URL, got 'localhost:80'",
        "x.toml: repo[0].name: 'acme' is not of the form ORG/REPO",
        "x.toml: repo[0].run[0].slug: needs {n} where count is more than 1",
        "x.toml: repo[0].run[0].cube[0].slug: needs {n} where count is more than 1",
        f"{cube}.artifact[0]: at most one of size, text, base64 and sha256_of",
        f"{cube}.artifact[1].path: needs {{n}} where count is more than 1",
        f"{cube}.artifact[2].max_size: is less than size",
        f"{cube}.artifact[3].sha256_of: this cube has no artifact 'nobody' to digest",
        "x.toml: repo[2].name: acme/X is there twice",
        'x.toml: fault[0].on: flip strikes files only; leave out on = "api"',
        "x.toml: fault[1].status: 599 is no status of HTTP",
    )


def test_a_file_that_is_no_toml_or_cannot_be_read_is_told_by_its_name(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"a = [")
    with pytest.raises(ConfigError, match=r"bad\.toml: not TOML: "):
        load_scenario(bad)
    bad.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"bad\.toml: cannot be read: not UTF-8"):
        load_scenario(bad)
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_scenario(tmp_path / "none.toml")


def test_a_scenario_made_in_python_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="ORG/REPO"):
        Simulator(Scenario(repos=(Repo("acme"),)))


def test_copies_are_numbered_in_slugs_and_paths_and_take_statuses_in_turn() -> None:
    artifact = ScenarioArtifact("out/{n}.bin", size=1, max_size=9, count=3)
    cubes = (Cube("shard-{n}", count=2, artifacts=(artifact,)),)
    runs = (
        ScenarioRun(count=3, statuses=("success", "failed"), cubes=cubes),
        ScenarioRun("9"),
        ScenarioRun(),
    )
    simulator = Simulator(Scenario(repos=(Repo("a/b", runs=runs),)))
    held = simulator.repo("a/b").runs
    assert [(slug, run.status) for slug, run in held.items()] == [
        ("1", "success"),
        ("2", "failed"),
        ("3", "success"),
        ("9", "success"),
        ("10", "success"),
    ]
    assert [cube.key.cube for cube in held["1"].cubes] == ["shard-1", "shard-2"]
    paths = [artifact.key.local_path for artifact in held["1"].artifacts]
    assert paths == ["out/1.bin", "out/2.bin", "out/3.bin"] * 2
    assert all(1 <= artifact.content.size <= 9 for artifact in held["1"].artifacts)


def test_ages_count_back_from_the_start_which_is_midnight_unless_told() -> None:
    scenario = parse_scenario(
        """
        start = 2026-11-01T00:00:00Z
        [[repo]]
        name = "a/b"
        [[repo.run]]
        [[repo.run]]
        count = 2
        age = "1h"
        every = "1d"
        """,
        name="x",
    )
    runs = Simulator(scenario).repo("a/b").runs.values()
    assert [run.created_at.isoformat() for run in runs] == [
        "2026-10-31T21:00:00+00:00",
        "2026-10-30T23:00:00+00:00",
        "2026-10-31T23:00:00+00:00",
    ]
    today = Simulator(Scenario(repos=(Repo("a/b", runs=(ScenarioRun(age=0),)),)))
    [run] = today.repo("a/b").runs.values()
    assert (run.created_at.hour, run.created_at.minute, run.created_at.second) == (0, 0, 0)


def test_the_demo_holds_what_it_is_there_to_show() -> None:
    demo = demo_scenario()
    tomllib.loads(demo_text())
    assert [repo.name for repo in demo.repos] == [
        "acme/rocket",
        "acme/website",
        "acme/firmware",
        "acme/docs",
    ]
    simulator = Simulator(demo)
    artifacts = [
        artifact
        for repo in demo.repos
        for run in simulator.repo(repo.name).runs.values()
        for artifact in run.artifacts
    ]
    assert {artifact.status for artifact in artifacts} == {
        "success",
        "registered",
        "failed",
        "missing",
    }
    there = [artifact for artifact in artifacts if artifact.status == "success"]
    sizes = [artifact.content.size for artifact in there]
    assert 50e6 < sum(sizes) < 70e6
    assert 20 << 20 <= max(sizes) <= 30 << 20
    assert min(sizes) == 0
    assert demo.files.lifetime == 2.0
