"""Which rule decides about an artifact, and what is said to come next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from artifact_sync.domain.forget_rules import ForgetRule, ForgetRules, ForgetScope
from artifact_sync.domain.keeping import PlannedRun
from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RepoName, RunRow, State, Upstream
from artifact_sync.domain.settings import DEFAULT_LAYOUT, RepoSettings
from artifact_sync.sync.explain import ArtifactFacts, DecidingRule, deciding_rule, what_comes
from artifact_sync.sync.rules import Rules

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = timedelta(days=1)
REPO = RepoName("acme", "rocket")


def facts(state: State = State.WANTED, path: str = "dist/app.gz", **more: object) -> ArtifactFacts:
    settings = {
        name: value for name, value in more.items() if name in RepoSettings.__struct_fields__
    }
    of_row = {name: value for name, value in more.items() if name in ArtifactRow.__struct_fields__}
    of_run = {"status": "success", "event": "push", "created_at": NOW - 5 * DAY}
    of_run |= {name: value for name, value in more.items() if name in {*of_run, "next_look"}}
    key = ArtifactKey(*REPO, "7", "ci", "t", "unit", path)
    rules = Rules.of(RepoSettings(name="acme/*", **settings), DEFAULT_LAYOUT)
    of_row.pop("created_at", None)
    return ArtifactFacts(
        ArtifactRow(key, state, **of_row), RunRow(key.run_key, **of_run), rules, ForgetRules(), NOW
    )


@pytest.mark.parametrize(
    ("of", "rule"),
    [
        ({}, ("", "", True)),
        ({"include": ("*.xml", "*.gz")}, ("include", "*.gz", True)),
        ({"workflows": ("docs", "c?")}, ("workflows", "c?", True)),
        ({"path": "", "logs": True, "include": ("x",)}, ("logs", "true", True)),
        ({"path": ""}, ("logs", "false", False)),
        ({"include": ("*.xml",)}, ("include", "dist/app.gz", False)),
        ({"include": ("*.gz",), "exclude": ("a", "dist/")}, ("exclude", "dist/", False)),
        ({"workflows": ("docs",), "exclude": ("dist",)}, ("workflows", "ci", False)),
        ({"run_statuses": ("failed",)}, ("run_statuses", "success", False)),
        ({"events": ("schedule",)}, ("events", "push", False)),
        ({"since": 4 * 86_400.0}, ("since", "2026-11-24 12:00", False)),
        ({"since": 4 * 86_400.0, "created_at": None}, ("", "", True)),
        ({"status": "processing"}, ("run", "processing", False)),
    ],
)
def test_the_deciding_rule_is_named(of: dict[str, object], rule: tuple[str, str, bool]) -> None:
    assert deciding_rule(facts(**of)) == DecidingRule(*rule)


def test_what_was_let_go_comes_before_all_and_the_last_word_counts() -> None:
    known = facts(exclude=("dist",))
    forget, back = ForgetScope(REPO, "7", "*.gz"), ForgetScope(REPO, "7", "app.gz")
    gone = replace(known, forgotten=ForgetRules([ForgetRule(forget)]))
    assert deciding_rule(gone) == DecidingRule("forget", "acme/rocket 7 *.gz", wanted=False)
    rules = ForgetRules([ForgetRule(forget), ForgetRule(back, forgets=False)])
    assert deciding_rule(replace(known, forgotten=rules)).key == "exclude"


GLOBS = st.lists(st.sampled_from(["*", "*.gz", "dist", "/dist/app.gz", "x", "./"]), max_size=2)
PATHS = st.sampled_from(["dist/app.gz", "./x", "", "a/x/b"])


@given(include=GLOBS, exclude=GLOBS, workflows=GLOBS, logs=st.booleans(), path=PATHS)
def test_it_decides_as_the_rules_do(
    *, include: list[str], exclude: list[str], workflows: list[str], logs: bool, path: str
) -> None:
    globs = {"include": tuple(include), "exclude": tuple(exclude), "workflows": tuple(workflows)}
    known = facts(path=path, logs=logs, **globs)
    assert deciding_rule(known).wanted is known.rules.wants(known.row.key)


LONG_AGO = {"first_seen": NOW - 9 * DAY, "lost_since": NOW - 9 * DAY, "attempts": 3}


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ({"state": State.MIRRORED}, "nothing: it is here, and stays while its run does"),
        ({"state": State.MIRRORED, "exclude": ("dist",)}, "stays, though no rule wants it now"),
        ({"state": State.PRUNED}, "nothing, until artifact-sync remember acme/rocket 7 takes it"),
        ({}, "the next sync fetches it"),
        ({"next_look": NOW + DAY}, "the first sync after 2026-11-30 12:00 UTC fetches it"),
        ({"next_look": NOW - DAY}, "the next sync fetches it"),
        ({"state": State.PENDING}, "the next sync looks again, for 3 days: "),
        ({"state": State.FAILED}, "the next sync tries again"),
        ({"state": State.GONE}, "the next sync tries again"),
        ({"state": State.GONE, **LONG_AGO}, "sync acme/rocket --run 7 tries again"),
        ({"state": State.LOST}, "the next sync fetches it again"),
        ({"state": State.LOST, "upstream": Upstream.GONE}, "looks whether the service has it"),
        ({"state": State.LOST, "upstream": Upstream.GONE, **LONG_AGO}, "A copy that is put back"),
        ({"state": State.EXPIRED}, "which is no failure"),
        ({"state": State.REFUSED}, "until it has another name in the CI file"),
        ({"state": State.UNWANTED}, "as the rules want it now"),
        ({"state": State.UNWANTED, "exclude": ("dist",)}, "nothing, while exclude leaves it out"),
        ({"status": "processing"}, "until it has finished"),
    ],
)
def test_what_comes_is_said(of: dict[str, object], words: str) -> None:
    known = facts(**of)
    assert words in what_comes(known, deciding_rule(known), None)


def test_pruning_comes_before_all_else() -> None:
    known, planned = facts(State.MIRRORED), PlannedRun("7", None, "prune", ["max_size"], 1)
    rule = deciding_rule(known)
    assert what_comes(known, rule, planned) == "the next prune removes its run: max_size"
    assert "nothing" in what_comes(known, rule, PlannedRun("7", None, "keep", ["last"], 1))
