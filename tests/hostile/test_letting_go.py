"""What the mirror's owner lets go of: forgotten, also while upstream lists it, and remembered.

After every step ``sync``, ``verify``, ``status``, ``ls`` and ``sha256sum -c`` tell one story.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hostile_service import honest
from keeper import ALL_WELL, APP, LOG, Keeper, forget_repository, forget_run, missing

if TYPE_CHECKING:
    from trial import Trial

RUN = ("org/repo", "1")


def forget(keeper: Keeper, *what: str) -> dict[str, Any]:
    code, answer, _ = keeper.run("forget", *what)
    assert (code, answer["exit_code"], answer["complete"]) == (0, 0, True)
    return answer


def remember(keeper: Keeper, *what: str) -> dict[str, str]:
    """The states of what is remembered."""
    code, answer, _ = keeper.run("remember", *what)
    assert (code, answer["exit_code"], answer["complete"]) == (0, 0, True)
    return {f"{it['run']}/{it['local_path']}": it["state"] for it in answer["remembered"]}


def names(rows: list[dict[str, Any]]) -> set[str]:
    return {f"{it['run']}/{it['local_path']}" for it in rows}


def test_a_lost_file_that_is_forgotten_is_no_failure_any_more(keeper: Keeper) -> None:
    forget_repository(keeper.trial.service)
    assert keeper.sync()[0] == 0
    keeper.trial.place().unlink()
    assert keeper.sync()[0] == 1
    answer = forget(keeper, *RUN, "app.bin")
    (row,) = answer["forgotten"]
    assert (row["local_path"], row["state"], row["wanted"]) == ("app.bin", "forgotten", False)
    assert (row["here"], "removed" in answer) == (False, False)
    assert keeper.run("verify")[0] == 0
    assert keeper.bad_sums("1") == 0
    assert keeper.story() == ALL_WELL
    assert [it["path"] for it in keeper.about()["artifacts"]] == ["build/linux/compile/build.log"]
    assert remember(keeper, *RUN, "app.bin") == {"1/app.bin": "lost"}
    assert keeper.story() == {"sync": 1, "verify": 1, "lost": 1, "failed": 1, "sums": 1}
    keeper.trial.place().write_bytes(APP + b"1")
    assert keeper.story() == ALL_WELL
    assert set(keeper.states().values()) == {"mirrored"}


def test_a_file_that_never_came_is_forgotten_and_comes_once_it_is_remembered(trial: Trial) -> None:
    trial.service.run({"app.bin": APP}, "1")
    trial.service.run({"app.bin": APP, "build.log": LOG}, "2")
    log = trial.service.repos["org/repo"][1].files[1][1]
    log.behaviour = missing
    keeper = Keeper(trial)
    assert keeper.sync()[0] == 1
    forget(keeper, "org/repo", "2", "*.log")
    assert keeper.states()["2/build.log"] == "forgotten"
    assert keeper.story() == ALL_WELL
    assert set(remember(keeper, "org/repo", "2").values()) == {"gone"}
    log.behaviour = honest
    assert keeper.sync("--run", "2")[0] == 0
    assert set(keeper.states().values()) == {"mirrored"}


def test_what_is_here_and_forgotten_stays_and_nobody_vouches_for_it(keeper: Keeper) -> None:
    keeper.trial.service.api.forget()
    assert names(forget(keeper, *RUN, "app.bin")["forgotten"]) == {"1/app.bin"}
    place = keeper.trial.place()
    assert place.read_bytes() == APP + b"1"
    assert keeper.run("verify")[1]["extra"] == []
    assert keeper.story() == ALL_WELL
    place.write_bytes(b"changed")
    assert keeper.story() == ALL_WELL
    place.unlink()
    assert keeper.story() == ALL_WELL
    assert keeper.sync()[1]["found"] == 3
    assert remember(keeper, *RUN) == {"1/app.bin": "mirrored"}
    assert keeper.sync()[0] == 0
    assert place.read_bytes() == APP + b"1"


def test_a_run_stays_forgotten_whatever_comes_of_it(keeper: Keeper) -> None:
    service = keeper.trial.service
    assert names(forget(keeper, *RUN)["forgotten"]) == {"1/app.bin", "1/build.log"}
    run = service.repos["org/repo"][0]
    service.run({"new.bin": b"new"}, "3")
    run.updated_at = "2026-11-25T10:00:00Z"
    run.files.append(service.repos["org/repo"][2].files[0])
    assert keeper.sync()[0] == 0
    assert "1/new.bin" not in keeper.states("--all")
    assert keeper.states()["3/new.bin"] == "mirrored"
    code, report, words = keeper.sync("--run", "1")
    assert (code, report["found"]) == (0, 0)
    assert "artifact-sync remember org/repo 1" in words
    assert not (keeper.trial.root / "org/repo/1/SHA256SUMS").exists()
    assert set(remember(keeper, *RUN).values()) == {"mirrored"}
    assert keeper.run("verify")[0] == 0
    assert keeper.sync()[0] == 0
    assert keeper.states()["1/new.bin"] == "mirrored"


def test_paths_that_come_later_and_fit_the_glob_are_not_fetched_either(keeper: Keeper) -> None:
    service = keeper.trial.service
    forget(keeper, *RUN, "*.log")
    run = service.repos["org/repo"][0]
    service.run({"late.log": b"late", "late.bin": b"late"}, "3")
    run.updated_at = "2026-11-25T10:00:00Z"
    run.files += service.repos["org/repo"][2].files
    assert keeper.sync()[0] == 0
    states = keeper.states()
    assert (states["1/late.log"], states["1/late.bin"]) == ("forgotten", "mirrored")
    assert states["3/late.log"] == "mirrored"


def test_a_repository_that_is_forgotten_asks_nothing_and_fails_no_more(keeper: Keeper) -> None:
    service = keeper.trial.service
    keeper.trial.place().unlink()
    forget_run(service)
    assert keeper.sync()[0] == 1
    assert len(forget(keeper, "org/repo")["forgotten"]) == 4
    service.run({"new.bin": b"new"}, "3")
    service.api.forget()
    code, report, _ = keeper.sync()
    assert (code, report["found"], len(service.api.requests)) == (0, 0, 0)
    code, found, _ = keeper.run("verify")
    assert (code, found["extra"]) == (0, [])
    code, status, _ = keeper.run("status")
    assert (code, status["repositories"][0]["last_error"]) == (0, "")
    assert not (keeper.trial.root / "org/repo/latest").is_symlink()
    back = remember(keeper, "org/repo", "2")
    assert set(back) == {"2/app.bin", "2/build.log"}
    assert keeper.sync()[0] == 0
    states = keeper.states()
    assert (states["2/app.bin"], states["1/app.bin"]) == ("mirrored", "forgotten")
    assert "3/new.bin" not in states
    remember(keeper, "org/repo")
    assert keeper.sync()[0] == 1
    assert keeper.states()["3/new.bin"] == "mirrored"
    assert keeper.states()["1/app.bin"] == "lost"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (["org/other"], "nothing of org/other is mirrored"),
        (["org/repo", "99"], "org/repo has no run 99"),
        (["org/repo", "1", "*.exe"], "no artifact of run 1 of org/repo fits *.exe"),
        (["org/repo", ""], "an empty RUN or GLOB"),
        (["org/repo", "1", ""], "an empty RUN or GLOB"),
        (["org/repo", "1", "[a"], "never closed"),
        (["org/*"], "name one of them"),
        (["https://sourcecraft.dev/org/repo/cicd/runs/1", "2"], "the address of run 1"),
        (["nothing"], "ORG/REPO"),
    ],
)
def test_what_cannot_be_meant_is_refused(keeper: Keeper, what: list[str], words: str) -> None:
    for command in ("forget", "remember"):
        code, said = keeper.fail(command, *what)
        assert (code, words in said) == (2, True), said
    assert set(keeper.states().values()) == {"mirrored"}


def test_the_address_of_a_runs_page_lets_go_of_that_run_alone(keeper: Keeper) -> None:
    page = "https://sourcecraft.dev/org/repo/cicd/runs/1"
    assert names(forget(keeper, page)["forgotten"]) == {"1/app.bin", "1/build.log"}
    assert set(remember(keeper, page)) == {"1/app.bin", "1/build.log"}


def test_what_was_not_forgotten_cannot_be_remembered(keeper: Keeper) -> None:
    code, said = keeper.fail("remember", *RUN)
    assert (code, "nothing of org/repo 1 was forgotten" in said) == (2, True)
