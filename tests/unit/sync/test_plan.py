"""The case table of a plan, a row a test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.model import (
    Action,
    Artifact,
    ArtifactKey,
    ArtifactNote,
    ArtifactRow,
    MirrorPath,
    Plan,
    Problem,
    RepoName,
    Run,
    RunKey,
    State,
    Step,
    Upstream,
)
from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.mirror.layout import Layout
from artifact_sync.sync import plan as planning
from artifact_sync.sync.collect import Collected

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LAYOUT = Layout(DEFAULT_LAYOUT)
RUN = Run(RunKey(RepoName("org", "repo"), "7"), "success")


def artifact(path: str, version: str = "v1", status: str = "success", cube: str = "c") -> Artifact:
    return Artifact(ArtifactKey("org", "repo", "7", "w", "t", cube, path), status, version)


def row(it: Artifact, state: State, **facts: object) -> ArtifactRow:
    facts = {"version": "v1", "first_seen": NOW, "size": 5, **facts}
    if state is State.MIRRORED:
        facts.setdefault("path", LAYOUT.place(it.key))
    return ArtifactRow(it.key, state, **facts)  # type: ignore[arg-type]


def planned(
    *artifacts: Artifact,
    rows: tuple[ArtifactRow, ...] = (),
    standing: dict[str, int] | None = None,
    pending: tuple[Artifact, ...] = (),
    insist: bool = False,
) -> list[Step]:
    return list(
        plan_of(*artifacts, rows=rows, standing=standing, pending=pending, insist=insist).steps
    )


def plan_of(
    *artifacts: Artifact,
    rows: tuple[ArtifactRow, ...] = (),
    standing: dict[str, int] | None = None,
    pending: tuple[Artifact, ...] = (),
    insist: bool = False,
    wants: Callable[[ArtifactKey], bool] = lambda _: True,
    forgotten: bool = False,
) -> Plan:
    sizes = {MirrorPath(path): size for path, size in (standing or {}).items()}
    known = planning.KnownArtifacts({it.key: it for it in rows}, sizes)
    terms = planning.PlanTerms(LAYOUT, NOW, wants, insist, rules_want=wants, forgotten=forgotten)
    return planning.make(RUN, Collected(artifacts, pending), known, terms)


def actions(steps: list[Step]) -> list[Action]:
    return [step.action for step in steps]


A = artifact("a.txt")
PLACE = "org/repo/7/w/t/c/a.txt"


def test_what_is_new_is_downloaded_to_its_place() -> None:
    (step,) = planned(A)
    assert (step.action, step.path) == (Action.DOWNLOAD, PLACE)


def test_what_is_mirrored_and_stands_is_kept() -> None:
    (step,) = planned(A, rows=(row(A, State.MIRRORED),), standing={PLACE: 5})
    assert step.action is Action.KEEP


def test_a_file_that_another_layout_placed_in_the_run_stays_there() -> None:
    path = MirrorPath("org/repo/7/elsewhere/a.txt")
    known = row(A, State.MIRRORED, path=path, sha256="5" * 64)
    (step,) = planned(A, rows=(known,), standing={path: 5})
    assert (step.action, step.path) == (Action.KEEP, path)
    other = artifact("b.txt")
    assert [it.path for it in planned(A, other, rows=(known,), standing={path: 5})] == [
        path,
        LAYOUT.place(other.key),
    ]


def test_a_file_that_is_recorded_outside_of_its_run_comes_to_its_place() -> None:
    path = MirrorPath("org/repo/8/a.txt")
    known = row(A, State.MIRRORED, path=path, sha256="5" * 64)
    (step,) = planned(A, rows=(known,), standing={path: 5})
    assert (step.action, step.path) == (Action.DOWNLOAD, PLACE)


@pytest.mark.parametrize(
    ("standing", "why"), [({}, "missing from the mirror"), ({PLACE: 4}, "changed in the mirror")]
)
def test_a_file_that_somebody_took_or_changed_is_downloaded_again(
    standing: dict[str, int], why: str
) -> None:
    (step,) = planned(A, rows=(row(A, State.MIRRORED),), standing=standing)
    assert (step.action, step.why) == (Action.DOWNLOAD, why)


def test_an_artifact_left_anew_upstream_is_downloaded_again() -> None:
    known = row(A, State.MIRRORED)
    (step,) = planned(artifact("a.txt", "v2"), rows=(known,), standing={PLACE: 5})
    assert (step.action, step.why) == (Action.DOWNLOAD, "left anew upstream")


def test_a_version_that_the_service_does_not_tell_changes_nothing() -> None:
    known = row(A, State.MIRRORED)
    assert actions(planned(artifact("a.txt", ""), rows=(known,), standing={PLACE: 5})) == ["keep"]
    unversioned = row(A, State.MIRRORED, version="")
    assert actions(planned(A, rows=(unversioned,), standing={PLACE: 5})) == ["keep"]


def test_an_unsafe_path_is_refused_with_its_reason() -> None:
    (step,) = planned(artifact("../../etc/passwd"))
    assert (step.action, step.path, step.reason) == (Action.REFUSE, None, Reason.UNSAFE_PATH)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A.txt", "a.TXT"),
        ("caf\u00e9", "cafe\u0301"),
        ("a/b", "a"),
        ("./a/b", "a/b"),
        ("a*", "a%2A"),
    ],
)
def test_of_two_names_that_are_one_file_somewhere_the_first_gets_it(
    first: str, second: str
) -> None:
    for order in ((first, second), (second, first)):
        steps = planned(*map(artifact, order))
        assert sorted(actions(steps)) == ["download", "refuse"]
        (refused,) = [step for step in steps if step.action is Action.REFUSE]
        assert refused.reason is Reason.COLLISION
        assert refused.artifact.key.local_path == max(first, second)


def test_of_two_names_that_are_one_file_the_mirrored_one_stays() -> None:
    upper, lower = artifact("A.txt"), A
    steps = planned(upper, lower, rows=(row(lower, State.MIRRORED),), standing={PLACE: 5})
    assert actions(steps) == [Action.REFUSE, Action.KEEP]


def test_the_same_path_in_two_cubes_is_two_files() -> None:
    assert actions(planned(A, artifact("a.txt", cube="d"))) == [Action.DOWNLOAD, Action.DOWNLOAD]


def test_what_failed_before_is_tried_again_and_the_plan_says_why() -> None:
    failed = row(A, State.FAILED, attempts=9, message="cut")
    (step,) = planned(A, rows=(failed,))
    assert (step.action, step.why) == (Action.DOWNLOAD, "failed before: cut")


def test_what_is_gone_for_days_is_given_up_unless_somebody_insists() -> None:
    old = NOW - timedelta(days=4)
    gone = row(A, State.GONE, attempts=3, first_seen=old, message="404")
    (step,) = planned(A, rows=(gone,))
    assert (step.action, step.reason, step.why) == (Action.GIVE_UP, Reason.GONE, "404")
    assert actions(planned(A, rows=(gone,), insist=True)) == [Action.DOWNLOAD]


@pytest.mark.parametrize(
    "facts", [{"attempts": 2, "first_seen": NOW - timedelta(days=4)}, {"attempts": 3}]
)
def test_what_has_not_been_gone_long_or_often_is_tried_again(facts: dict[str, object]) -> None:
    assert actions(planned(A, rows=(row(A, State.GONE, **facts),))) == [Action.DOWNLOAD]


def test_what_is_registered_is_looked_at_again_for_three_days() -> None:
    waiting = artifact("late.txt", status="registered")
    assert actions(planned(pending=(waiting,))) == [Action.LATER]
    seen = row(waiting, State.PENDING, first_seen=NOW - timedelta(days=3))
    assert actions(planned(pending=(waiting,), rows=(seen,))) == [Action.LATER]
    stale = row(waiting, State.PENDING, first_seen=NOW - timedelta(days=3, seconds=1))
    assert actions(planned(pending=(waiting,), rows=(stale,))) == [Action.SKIP]


@pytest.mark.parametrize("state", [State.MIRRORED, State.LOST, State.FAILED])
def test_what_is_registered_anew_is_kept_or_lost_and_looked_at_again(state: State) -> None:
    waiting = artifact("late.txt", status="registered")
    known = row(waiting, state, sha256="00", path=LAYOUT.place(waiting.key))
    plan = plan_of(pending=(waiting,), rows=(known,))
    assert [(it.action, it.reason) for it in plan.steps] == [(Action.LOSE, Reason.LOST)]
    assert plan.unfinished
    here = row(waiting, State.MIRRORED, sha256="00")
    plan = plan_of(pending=(waiting,), rows=(here,), standing={LAYOUT.place(waiting.key): 5})
    assert (actions(list(plan.steps)), plan.unfinished) == ([Action.KEEP], True)


def test_what_was_registered_and_has_come_is_downloaded() -> None:
    assert actions(planned(A, rows=(row(A, State.PENDING),))) == [Action.DOWNLOAD]


@pytest.mark.parametrize("state", [State.MIRRORED, State.FAILED, State.GONE])
def test_what_was_mirrored_and_is_neither_there_nor_listed_is_lost(state: State) -> None:
    plan = plan_of(rows=(row(A, state, sha256="00"),))
    (step,) = plan.steps
    assert (step.action, step.reason, plan.strays) == (Action.LOSE, Reason.LOST, ())
    (note,) = plan.notes
    assert (note.state, note.upstream, note.lost) == (State.LOST, Upstream.GONE, True)


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_the_service_lists_no_more_and_the_mirror_has_is_kept(*, forgotten: bool) -> None:
    plan = plan_of(rows=(row(A, State.MIRRORED),), standing={PLACE: 5}, forgotten=forgotten)
    assert (actions(list(plan.steps)), plan.strays) == ([Action.KEEP], ())
    assert plan.notes == (ArtifactNote(A.key, State.MIRRORED, "v1", upstream=Upstream.GONE),)


def test_what_is_wanted_no_more_stays_and_is_noted_as_unwanted() -> None:
    kept = row(A, State.MIRRORED, sha256="00")
    lost = row(artifact("b.txt"), State.MIRRORED, sha256="00")
    failed = row(artifact("c.txt"), State.FAILED)
    plan = plan_of(rows=(kept, lost, failed), standing={PLACE: 5}, wants=lambda _: False)
    assert (plan.steps, plan.strays) == ((), ())
    assert [(note.key, note.state, note.wanted) for note in plan.notes] == [
        (kept.key, State.MIRRORED, False),
        (lost.key, State.UNWANTED, False),
        (failed.key, State.UNWANTED, False),
    ]


@pytest.mark.parametrize("state", [State.UNWANTED, State.EXPIRED, State.FAILED, State.WANTED])
def test_what_never_came_and_is_listed_no_more_has_expired(state: State) -> None:
    plan = plan_of(rows=(row(A, state),))
    assert (actions(list(plan.steps)), plan.strays) == ([Action.EXPIRE], ())


@pytest.mark.parametrize(
    ("state", "wanted", "action"),
    [
        (State.UNWANTED, False, Action.EXPIRE),
        (State.EXPIRED, True, Action.EXPIRE),
        (State.FAILED, True, Action.GIVE_UP),
        (State.GONE, True, Action.GIVE_UP),
    ],
)
def test_of_a_forgotten_run_what_was_wanted_in_time_is_a_failure_and_nothing_else(
    state: State, action: Action, *, wanted: bool
) -> None:
    plan = plan_of(rows=(row(A, state, wanted=wanted),), forgotten=True)
    assert actions(list(plan.steps)) == [action]


def test_what_could_not_be_read_ends_nothing() -> None:
    known = planning.KnownArtifacts({A.key: row(A, State.FAILED)}, {})
    collected = Collected(problems=(Problem("w", "t", "c", "garbled"),))
    plan = planning.make(RUN, collected, known, planning.PlanTerms(LAYOUT, NOW))
    assert (plan.steps, plan.strays, plan.notes) == ((), (), ())


@pytest.mark.parametrize("state", [State.PENDING, State.REFUSED])
def test_what_was_never_mirrored_and_is_listed_no_more_is_forgotten(state: State) -> None:
    plan = plan_of(rows=(row(A, state),))
    assert (plan.steps, plan.strays) == ((), (A.key,))


@pytest.mark.parametrize("state", [State.PRUNING, State.PRUNED, State.FORGOTTEN])
def test_what_was_pruned_is_not_fetched_again_even_if_left_anew_or_insisted_on(
    state: State,
) -> None:
    it, later = artifact("a"), artifact("a", version="v2")
    pruned = row(it, state, sha256="ab" * 32, path=LAYOUT.place(it.key))
    assert actions(planned(it, rows=(pruned,))) == [Action.SKIP]
    assert actions(planned(later, rows=(pruned,), insist=True)) == [Action.SKIP]


@pytest.mark.parametrize("state", [State.PRUNING, State.PRUNED, State.FORGOTTEN])
def test_what_was_pruned_and_is_listed_no_more_is_neither_a_failure_nor_forgotten(
    state: State,
) -> None:
    it = artifact("a")
    plan = plan_of(rows=(row(it, state, sha256="ab" * 32, path=LAYOUT.place(it.key)),))
    assert (plan.steps, plan.strays) == ((), ())


def let_go(*artifacts: Artifact, rows: tuple[ArtifactRow, ...] = ()) -> Plan:
    """The plan of what is listed, all of which the mirror's owner has let go."""
    known = planning.KnownArtifacts({it.key: it for it in rows}, {})
    terms = planning.PlanTerms(
        LAYOUT, NOW, lambda _: False, rules_want=lambda _: True, let_go=lambda _: True
    )
    return planning.make(RUN, Collected(rest=artifacts), known, terms)


@pytest.mark.parametrize("listed", [(A,), ()], ids=["listed", "not listed"])
@pytest.mark.parametrize("known", [None, State.WANTED, State.FAILED, State.LOST])
def test_what_is_let_go_is_forgotten_and_gets_no_step(
    known: State | None, listed: tuple[Artifact, ...]
) -> None:
    rows = () if known is None else (row(A, known),)
    plan = let_go(*listed, rows=rows)
    assert (plan.steps, plan.strays) == ((), ())
    told = [(it.state, it.wanted) for it in plan.notes]
    assert told == ([(State.FORGOTTEN, False)] if rows or listed else [])


def test_what_is_known_as_forgotten_is_no_news() -> None:
    assert let_go(A, rows=(row(A, State.FORGOTTEN),)).notes == ()


def places(*artifacts: Artifact, rows: tuple[ArtifactRow, ...] = ()) -> dict[str, str]:
    steps = planned(*artifacts, rows=rows)
    return {
        it.artifact.key.name: (it.path or it.why).removeprefix("org/repo/7/w/t/") for it in steps
    }


def test_a_log_and_a_folder_of_its_name_both_stand_whichever_comes_first() -> None:
    log, file = artifact("", cube="x"), artifact("a", cube="x.log")
    assert places(log, file) == {"x.log": "x.log%2F", "a": "x.log/a"}
    assert places(log, file, rows=(row(log, State.MIRRORED),)) == {
        "x.log": "x.log",
        "a": "x.log%2Fa",
    }


def test_two_logs_that_would_be_one_file_are_not_both_taken() -> None:
    found = places(artifact("", cube="X"), artifact("", cube="x"))
    assert found["X.log"] == "X.log"
    assert "one file or folder with 'X.log' of cube X" in found["x.log"]


@pytest.mark.parametrize(
    ("state", "message", "why"),
    [
        (State.WANTED, "", "the service forgot its run before it came"),
        (
            State.FAILED,
            "it was cut",
            "the service forgot its run before it came; the last try: it was cut",
        ),
        (State.GONE, "the file's server answered 404", "the file's server answered 404"),
    ],
)
def test_what_never_came_of_a_forgotten_run_is_told_with_its_last_try(
    state: State, message: str, why: str
) -> None:
    plan = plan_of(rows=(row(A, state, wanted=True, message=message),), forgotten=True)
    assert [(step.action, step.why) for step in plan.steps] == [(Action.GIVE_UP, why)]
