"""``prune`` removes what no rule keeps, says why, and nothing of it comes back."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from daemon_user import DaemonUser
from forked_program import call_program
from keeping import ORG, Keeping, small_organisation, small_run

from artifact_sync.simulator import Repo, Scenario, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="calls fork")

ROCKET = f"{ORG}/rocket"
DAY = 86_400.0
AGES = dict(zip("12345678", (9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0), strict=True))


class Ruled(Keeping):
    """A mirror with rules."""

    rules = 'last = 6, max_share = "25%"'

    @property
    def environ(self) -> dict[str, str]:
        rules = (rule.partition(" = ") for rule in self.rules.split(", "))
        keep = {f"ARTIFACT_SYNC_KEEP__{k.upper()}": v.strip('"') for k, _, v in rules}
        return {**super().environ, **keep}

    def prune(self, *arguments: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Exit code, what becomes of each run, and the answer."""
        code, answer, _ = self.run("prune", *arguments)
        return code, {it["run"]: it["action"] for it in answer.get("runs", ())}, answer

    def folders(self) -> set[str]:
        return folders_of(self.root)


def folders_of(root: Path) -> set[str]:
    repo = root / ROCKET
    return {it.name for it in repo.iterdir() if not it.is_symlink()} if repo.is_dir() else set()


def eight_runs() -> Scenario:
    runs = tuple(small_run(slug, age=age * DAY) for slug, age in AGES.items())
    return Scenario(api=small_organisation().api, repos=(Repo(ROCKET, runs=runs),))


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ruled]:
    """A complete mirror, and its service."""
    with running_in_thread(eight_runs()) as service:
        ruled = Ruled(tmp_path_factory.mktemp("home"), service)
        assert ruled.run("sync", ROCKET)[0] == 0
        yield ruled


@pytest.fixture
def keeping(mirrored: Ruled, tmp_path: Path) -> Ruled:
    shutil.copytree(mirrored.root, tmp_path / "mirror", symlinks=True)
    return Ruled(tmp_path, mirrored.service)


def test_what_no_rule_keeps_goes_and_does_not_come_back(keeping: Ruled) -> None:
    code, actions, answer = keeping.prune("--dry-run")
    assert (code, keeping.folders()) == (0, set(AGES))
    assert {run for run, action in actions.items() if action == "prune"} == {"1", "2"}
    assert answer["runs"][0]["why"] == ["last", "latest", "latest-success"]
    code, actions, pruned = keeping.prune()
    assert (code, pruned["complete"], pruned["refused"]) == (0, True, [])
    assert pruned["freed_bytes"] == answer["freed_bytes"] > 10_000
    assert (keeping.folders(), pruned["left"]) == (set(AGES) - {"1", "2"}, [])
    story = keeping.story()
    assert story.codes == (0, 0)
    assert (story.report["downloaded"], story.report["kept"]) == (0, 12)
    assert {name.run for name in story.states} == set(AGES) - {"1", "2"}
    code, actions, answer = keeping.prune()
    assert (code, set(actions), answer["freed_bytes"]) == (0, set(AGES) - {"1", "2"}, 0)
    code, report, words = keeping.run("sync", ROCKET, "--run", "1")
    assert (code, report["downloaded"]) == (0, 0)
    assert "was pruned on" in words
    assert "1" not in keeping.folders()
    _, shown, _ = keeping.run("show", ROCKET, "1")
    assert (shown["run"]["mirror_complete"], shown["pruned_at"] is None) == (False, False)
    assert keeping.run("status")[1]["repositories"][0]["pruned_runs"] == 2


def test_of_what_was_forgotten_no_more_stays_than_of_what_was_pruned(keeping: Ruled) -> None:
    assert keeping.run("forget", ROCKET, "4", "--delete", "--yes")[0] == 0
    assert {it["state"] for it in keeping.listed().values() if it["run"] == "4"} == {"forgotten"}
    assert keeping.prune()[0] == 0
    story = keeping.story()
    assert (story.codes, {name.run for name in story.states}) == ((0, 0), set("235678"))
    assert keeping.prune("--dry-run")[1].keys() == set("235678")
    assert keeping.run("remember", ROCKET, "4")[0] == 0
    story = keeping.story()
    assert (story.codes, story.report["downloaded"]) == ((0, 0), 2)
    assert {name.run for name in story.states} == set("2345678")


def test_more_than_a_share_goes_only_when_the_user_says_so(keeping: Ruled) -> None:
    keeping.rules = "last = 3"
    code, actions, answer = keeping.prune()
    assert (code, set(actions.values()), answer["complete"]) == (1, {"keep"}, False)
    assert "5 of its 8 runs" in answer["refused"][0]["why"]
    assert keeping.folders() == set(AGES)
    assert keeping.prune("--yes")[0] == 0
    assert keeping.folders() == {"6", "7", "8"}


@pytest.mark.parametrize("cut", ["8", "5", "12345678"])
def test_nothing_goes_while_the_list_of_runs_is_cut(keeping: Ruled, cut: str) -> None:
    with running_in_thread(eight_runs()) as service:
        for run in cut:
            service.simulator.remove_run(ROCKET, run)
        keeping.service = service
        keeping.run("sync", ROCKET)
    code, _, answer = keeping.prune("--yes")
    assert (code, keeping.folders()) == (1, set(AGES))
    assert "not to be trusted" in answer["refused"][0]["why"]


def test_a_plan_is_carried_out_later_but_for_what_has_changed(keeping: Ruled) -> None:
    file = keeping.folder / "plan.json"
    code, _, answer = keeping.prune("--plan", str(file))
    assert (code, keeping.folders(), json.loads(file.read_bytes())) == (0, set(AGES), answer)
    assert keeping.run("pin", ROCKET, "1", "--reason", "the one we sold")[0] == 0
    code, actions, answer = keeping.prune("--apply", str(file))
    assert (code, actions["1"], actions["2"]) == (1, "keep", "prune")
    assert "run 1: held since the plan was made: pin" in answer["refused"][0]["why"]
    assert keeping.folders() == set(AGES) - {"2"}
    assert keeping.run("unpin", ROCKET, "1")[0] == 0
    assert keeping.prune("--apply", str(file))[0] == 0
    code, actions, answer = keeping.prune("--apply", str(file))
    assert (code, answer["refused"], answer["freed_bytes"]) == (0, [], 0), "all of it is done"
    assert keeping.folders() == set(AGES) - {"1", "2"}
    went = {it["run"]: it["why"] for it in answer["runs"] if it["action"] == "prune"}
    assert went == {"1": ["already pruned"], "2": ["already pruned"]}
    said = call_program(["prune", "--apply", str(file)], keeping.folder, keeping.environ)
    assert said.out.endswith("0 runs pruned (0 B), 2 already pruned, 6 stay\n")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"mirror": "another"}, "is a plan of another mirror"),
        ({"made_at": "2020-01-01T00:00:00+00:00"}, "a plan holds for seven days"),
        ({"made_at": "2020-01-01T00:00:00"}, "a plan holds for seven days"),
        ({"made_at": "2999-01-01T00:00:00+00:00"}, "was made in the future"),
        ({"runs": 5}, "is no plan"),
        ({"runs": [{"repo": "../..", "run": "1"}]}, "is no plan"),
    ],
)
def test_a_plan_of_another_mirror_or_an_old_one_is_refused(
    keeping: Ruled, change: dict[str, Any], why: str
) -> None:
    file = keeping.folder / "plan.json"
    _, _, answer = keeping.prune("--plan", str(file))
    file.write_text(json.dumps({**answer, **change}))
    code, _, answer = keeping.prune("--apply", str(file))
    assert (code, answer["complete"], answer["runs"]) == (2, False, [])
    assert why in answer["refused"][0]["why"]
    assert keeping.folders() == set(AGES)


def test_a_stranger_in_a_runs_folder_stays_and_is_told(keeping: Ruled) -> None:
    stranger = keeping.root / ROCKET / "1/notes.txt"
    stranger.write_text("mine")
    changed = keeping.root / ROCKET / "2/ci/build/build/app.bin"
    os.truncate(changed, 3)
    code, _, answer = keeping.prune()
    assert code == 0
    assert set(answer["left"]) == {str(it.relative_to(keeping.root)) for it in (stranger, changed)}
    assert stranger.read_text() == "mine"
    assert [it.name for it in (keeping.root / ROCKET / "1").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("bound", "code", "left"), [(18_000, 0, "678"), (6_000, 1, "8")])
def test_beyond_a_size_the_oldest_go_whatever_the_rules_say(
    keeping: Ruled, bound: int, code: int, left: str
) -> None:
    keeping.rules = f"last = 6, last_success = 1, max_size = {bound}"
    assert keeping.run("pin", ROCKET, "6")[0] == 0 if code else True
    ended, _, answer = keeping.prune("--yes")
    assert (ended, bool(answer["refused"])) == (code, bool(code))
    assert keeping.folders() == set(left) | ({"6"} if code else set())
    assert {tuple(it["why"]) for it in answer["runs"] if it["action"] == "prune"} == {
        ("max_size",),
        ("no rule keeps it",),
    }


def test_a_pinned_run_stays_says_so_and_goes_when_the_pin_is_taken_away(keeping: Ruled) -> None:
    about = keeping.root / ROCKET / "1/run.json"
    assert "pin" not in json.loads(about.read_bytes())
    assert keeping.run("pin", ROCKET, "1", "--reason", "the one we sold")[0] == 0
    assert json.loads(about.read_bytes())["pin"]["reason"] == "the one we sold"
    code, answer, _ = keeping.run("pins")
    assert (code, [(it["repo"], it["run"]) for it in answer["pins"]]) == (0, [(ROCKET, "1")])
    assert keeping.story().codes == (0, 0)
    code, actions, answer = keeping.prune()
    assert (code, actions["1"], actions["2"]) == (0, "keep", "prune")
    assert answer["runs"][-1]["why"] == ["pin"]
    assert keeping.run("unpin", ROCKET, "1")[0] == 0
    assert "pin" not in json.loads(about.read_bytes())
    assert keeping.prune()[0] == 0
    assert keeping.folders() == set(AGES) - {"1", "2"}
    assert keeping.run("pin", ROCKET, "1")[0] == keeping.run("unpin", ROCKET, "3")[0] == 2
    assert keeping.run("pin", ROCKET, "99")[0] == 2


def test_a_pin_outlives_its_ledger(keeping: Ruled) -> None:
    assert keeping.run("pin", ROCKET, "1", "--reason", "sold")[0] == 0
    for file in (keeping.root / ".artifact-sync").glob("ledger.sqlite*"):
        file.unlink()
    assert keeping.run("adopt")[0] == 0
    assert keeping.run("pins")[1]["pins"][0]["reason"] == "sold"


def test_what_was_pruned_comes_back_when_it_is_remembered(keeping: Ruled) -> None:
    assert keeping.prune()[0] == 0
    assert keeping.run("remember", ROCKET, "2")[0] == 0
    code, report, _ = keeping.run("sync", ROCKET)
    assert (code, report["downloaded"]) == (0, 2)
    assert "2" in keeping.folders()


@pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets there")
def test_the_daemon_prunes_after_a_pass_that_brought_something_and_when_asked(
    tmp_path: Path,
) -> None:
    with running_in_thread(eight_runs()) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET, keep__last=6)
        with user.daemon() as daemon:
            daemon.wait_for_line("pruned")
            daemon.wait_for(lambda: not (user.root / ROCKET / "2").exists())
            pinned = user.run("pin", ROCKET, "3", "--config", user.config, "--json")
            assert (pinned.code, "holds the mirror" in pinned.err) == (0, True), pinned.err
            environ = {"ARTIFACT_SYNC_KEEP__LAST": "5"}
            done = user.run("prune", "--config", user.config, "--json", **environ)
            assert (done.code, done.answer["freed_bytes"]) == (0, 0)
            assert user.run("unpin", ROCKET, "3", "--config", user.config).code == 0
            done = user.run("prune", "--config", user.config, "--json", **environ)
            assert (done.code, done.answer["freed_bytes"] > 0) == (0, True), done.out
            assert user.runs() == {f"{ROCKET}/{run}" for run in "45678"}
        assert user.run("verify", "--config", user.config).code == 0


def counted(user: DaemonUser) -> tuple[int, int]:
    """How many runs were pruned, and how many artifacts are mirrored."""
    [status] = user.status()["repositories"]
    return status["pruned_runs"], status["states"]["mirrored"]


@pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets there")
def test_a_daemon_has_the_oldest_go_before_there_is_too_much(tmp_path: Path) -> None:
    with running_in_thread(eight_runs()) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET, keep__max_size=18_000)
        with user.daemon() as daemon:
            daemon.wait_for(lambda: folders_of(user.root) == set("678"))
            daemon.wait_for_line("3 older runs of acme/rocket are not mirrored")
            assert {line["run"] for line in daemon.said("pruned")} <= {f"{ROCKET} run 5"}
            user.config.write_text(user.config.read_text().replace("18000", "17000"))
            service.simulator.add_run(ROCKET, small_run("9", age=0.0))
            daemon.wait_for(lambda: folders_of(user.root) == set("789"))
            daemon.wait_for((user.root / ROCKET / "9" / "SHA256SUMS").exists)
            daemon.wait_for(lambda: counted(user) == (6, 6))
            [status] = user.status()["repositories"]
            assert status["states"]["failed"] == 0
        assert user.runs() == {f"{ROCKET}/{run}" for run in "789"}
        planned = user.run("prune", "--dry-run", "--config", user.config, "--json")
        assert (planned.code, planned.answer["freed_bytes"]) == (0, 0)
        told = user.run(
            "sync", "--config", user.config, "--json", ARTIFACT_SYNC_KEEP__MAX_SIZE="9000"
        )
        assert (told.code, "more than keep.max_size: artifact-sync prune" in told.err) == (0, True)
        assert user.run("verify", "--config", user.config).code == 0


HOSTILE = {"created_at": None, "action": "prune", "why": [], "bytes": -5}


def test_a_plan_that_was_tampered_with_removes_nothing_but_runs(keeping: Ruled) -> None:
    file = keeping.folder / "plan.json"
    _, _, answer = keeping.prune("--plan", str(file))
    (keeping.root / "outside").mkdir()
    names = ("../..", "..", "1/../2", "/", "\0", "99")
    runs = [{**HOSTILE, "repo": repo, "run": run} for repo in (ROCKET, "acme/..") for run in names]
    every = [{**it, "action": "prune"} for it in answer["runs"] if it["run"] in {"8", "3"}]
    file.write_text(json.dumps({**answer, "runs": [*runs, *every, *every]}))
    code, _, answer = keeping.prune("--apply", str(file), "--yes")
    assert (code, keeping.folders()) == (1, set(AGES) - {"3"})
    assert (keeping.root / "outside").is_dir()
    held = [it["why"] for it in answer["refused"] if it["why"].startswith("run 8: ")]
    assert held == ["run 8: held since the plan was made: latest, latest-success"]
    assert len(answer["refused"]) == len(names) + 2


def test_a_plan_has_the_words_that_programs_read(keeping: Ruled) -> None:
    keeping.rules = "last = 1, daily = 2, weekly = 1, within = 36h, last_success = 1, yearly = 3"
    assert keeping.run("pin", ROCKET, "4")[0] == 0
    code, _, answer = keeping.prune("--dry-run", "--yes")
    assert (code, list(answer)) == (
        0,
        ["mirror", "made_at", "complete", "exit_code", "runs", "freed_bytes", "refused", "left"],
    )
    assert list(answer["runs"][0]) == ["repo", "run", "created_at", "action", "why", "bytes"]
    why = {it["run"]: it["why"] for it in answer["runs"]}
    day, before = (
        next(it["created_at"][:10] for it in answer["runs"] if it["run"] == run) for run in "87"
    )
    assert set(why["8"]) >= {"last", "last_success", "within", "latest", "latest-success"}
    assert (f"daily {day}" in why["8"], why["7"][0]) == (True, f"daily {before}")
    assert (why["4"], why["3"], why["1"]) == (["pin"], ["no rule keeps it"], ["yearly oldest"])
    freed = sum(it["bytes"] for it in answer["runs"] if it["action"] == "prune")
    assert answer["freed_bytes"] == freed > 0


def test_by_two_of_three_runs_one_goes_whenever_one_comes(keeping: Ruled) -> None:
    keeping.rules = "last = 3"
    assert keeping.prune("--yes")[0] == 0
    keeping.rules = "last = 2, max_share = 0%"
    assert keeping.prune()[0] == 1
    keeping.rules = "last = 2"
    assert keeping.prune()[0] == 0
    assert keeping.folders() == {"7", "8"}
