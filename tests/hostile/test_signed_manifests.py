"""Signed manifests: made, kept beside their content, checked, made good when they are missing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from keeper import ALL_WELL, APP, LOG, Keeper, forget_repository

if TYPE_CHECKING:
    from pathlib import Path

    from trial import Trial

SIGN = """
test "${1##*/}" = SHA256SUMS && test -z "$(env | grep -e TOKEN -e ARTIFACT_SYNC)" &&
test "$(cat)" = "$(cat "$1")" && (printf key; cat "$1") | sha256sum > "$1.sig"
"""
CHECK = """
test "$( (printf key; cat "$1") | sha256sum)" = "$(cat "$1.sig")" ||
{ echo no signature of it; exit 1; }
"""
NO_KEY = "echo no key; exit 1"


def signing(trial: Trial, sign: str = SIGN, check: str = CHECK) -> None:
    """Have manifests signed and checked by these scripts of the shell."""
    for name, script in (("SIGN", sign), ("VERIFY", check)):
        path = trial.guarded.parent / f"{name}.sh"
        path.write_text(script)
        trial.env[f"MIRROR__{name}_COMMAND"] = f"sh,{path}"


@pytest.fixture
def signed(trial: Trial) -> Keeper:
    """A complete mirror of two runs, which is signed."""
    for run in ("1", "2"):
        trial.service.run({"app.bin": APP + run.encode(), "build.log": LOG + run.encode()}, run)
    signing(trial)
    keeper = Keeper(trial)
    assert keeper.sync()[0] == 0
    return keeper


def signature(keeper: Keeper, run: str = "1") -> Path:
    return keeper.trial.root / "org/repo" / run / "SHA256SUMS.sig"


def spoil(keeper: Keeper) -> str:
    """Another run's signature in the place of the first one's; what it is."""
    signature(keeper).write_text(signature(keeper, "2").read_text())
    return signature(keeper).read_text()


def displaced(keeper: Keeper) -> list[Path]:
    return list((keeper.trial.root / ".artifact-sync").glob("displaced/**/SHA256SUMS*"))


def test_a_mirror_is_signed_by_the_pass_that_finds_a_program_for_it(keeper: Keeper) -> None:
    assert not signature(keeper).exists()
    signing(keeper.trial)
    assert keeper.run("verify")[0] == 1
    code, report, _ = keeper.sync()
    assert (code, report["downloaded"]) == (0, 0)
    assert {signature(keeper, run).exists() for run in ("1", "2")} == {True}
    assert keeper.story() == ALL_WELL
    assert keeper.run("verify")[1]["extra"] == []
    asked = len(keeper.trial.service.api.requests)
    keeper.sync()
    assert len(keeper.trial.service.api.requests) == asked + 1  # nothing new


def test_a_signature_that_is_taken_away_is_missing_until_the_next_pass(signed: Keeper) -> None:
    forget_repository(signed.trial.service)
    signed.sync()
    signature(signed).unlink()
    code, found, _ = signed.run("verify")
    assert (code, found["missing"]) == (1, ["org/repo/1/SHA256SUMS.sig"])
    assert signed.sync()[0] == 0
    assert signed.run("verify")[0] == 0


def test_a_wrong_signature_is_changed_and_a_repair_signs_anew(signed: Keeper) -> None:
    spoil(signed)
    code, found, _ = signed.run("verify")
    assert (code, found["changed"]) == (5, ["org/repo/1/SHA256SUMS.sig"])
    assert signed.run("verify", "--repair")[0] == 0
    assert signed.run("verify")[0] == 0
    assert displaced(signed) == []


@pytest.mark.parametrize(("sign", "check"), [(NO_KEY, CHECK), (SIGN, NO_KEY), (SIGN, "kill -9 $$")])
def test_a_repair_takes_no_signature_away_that_it_cannot_replace(
    signed: Keeper, sign: str, check: str
) -> None:
    before = spoil(signed), signature(signed, "2").read_text()
    signing(signed.trial, sign, check)
    if "kill" in check:
        code, words = signed.fail("verify", "--repair")
        assert (code, "mirror.verify_command was killed by signal 9" in words) == (2, True)
    else:
        code, told, _ = signed.run("verify", "--repair")
        assert (code, {it["reason"] for it in told["failures"]}) == (5, {"unsigned"})
        assert "no key" in told["failures"][0]["message"]
    assert (signature(signed).read_text(), signature(signed, "2").read_text()) == before
    assert displaced(signed) == []


def test_a_changed_manifest_is_displaced_and_signed_anew(signed: Keeper) -> None:
    spoil(signed)
    signature(signed).with_name("SHA256SUMS").write_text("")
    assert signed.run("verify", "--repair")[0] == 0
    assert signed.run("verify")[0] == 0
    assert len(displaced(signed)) == 1


def test_a_run_that_cannot_be_signed_is_told_and_stays_complete(keeper: Keeper) -> None:
    signing(keeper.trial, NO_KEY)
    for _ in range(2):
        exit_code, report, _ = keeper.sync()
        assert (exit_code, report["downloaded"], len(report["failures"])) == (1, 0, 2)
        assert {it["reason"] for it in report["failures"]} == {"unsigned"}
        assert "ended with 1: no key" in report["failures"][0]["message"]
    assert keeper.bad_sums("1") == 0
    signing(keeper.trial)
    assert keeper.story() == ALL_WELL


def test_a_program_that_is_not_there_fails_the_run_and_no_verification(keeper: Keeper) -> None:
    keeper.trial.env["MIRROR__SIGN_COMMAND"] = "no-such-program"
    code, report, _ = keeper.sync()
    assert (code, {it["reason"] for it in report["failures"]}) == (1, {"unsigned"})
    assert "there is no program 'no-such-program'" in report["failures"][0]["message"]
    signing(keeper.trial)
    keeper.trial.env["MIRROR__VERIFY_COMMAND"] = "no-such-program"
    assert keeper.sync()[0] == 0
    code, words = keeper.fail("verify")
    assert code == 2
    assert "mirror.verify_command cannot be started" in words
    assert signature(keeper).exists()


def test_a_manifest_that_changes_is_signed_anew(signed: Keeper) -> None:
    before = signature(signed).read_text()
    assert signed.run("forget", "org/repo", "1", "app.bin", "--delete", "--yes")[0] == 0
    assert signature(signed).read_text() != before
    assert signed.run("verify")[0] == 0
    assert signed.run("forget", "org/repo", "1", "--delete", "--yes")[0] == 0
    assert not signature(signed).parent.exists()


@pytest.mark.parametrize("what", [["app.bin", "--delete"], []], ids=["a file", "the run"])
def test_forgetting_and_remembering_go_on_where_nothing_can_be_signed(
    signed: Keeper, what: list[str]
) -> None:
    signing(signed.trial, NO_KEY)
    assert signed.run("forget", "org/repo", "1", *what, "--yes")[0] == 0
    assert not signature(signed).exists()  # and none of another content
    if not what:
        assert signed.run("remember", "org/repo", "1")[0] == 0
    assert unsettled(signed) == ["1"]
    assert signed.run("verify")[0] == 1
    signing(signed.trial)
    assert signed.sync()[0] == 0
    assert signed.run("verify")[0] == 0


def unsettled(keeper: Keeper) -> list[str]:
    """The runs that the next pass looks at."""
    with closing(sqlite3.connect(keeper.trial.root / ".artifact-sync/ledger.sqlite")) as ledger:
        found = ledger.execute("SELECT run FROM runs WHERE settled_for = '' ORDER BY run")
        return [run for (run,) in found]
