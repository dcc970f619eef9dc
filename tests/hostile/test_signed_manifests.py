"""Signed manifests: made, kept beside their content, checked, made good when they are missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from keeper import ALL_WELL, Keeper, forget_repository

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIGN = """
import hashlib, os, sys
path = sys.argv[1]
assert os.path.basename(path) == "SHA256SUMS"
content = open(path, "rb").read()
assert content == sys.stdin.buffer.read()
assert not any("TOKEN" in key or key.startswith("ARTIFACT_SYNC") for key in os.environ)
open(path + ".sig", "w").write(hashlib.sha256(b"key" + content).hexdigest())
"""
CHECK = """
import hashlib, sys
path = sys.argv[1]
right = hashlib.sha256(b"key" + open(path, "rb").read()).hexdigest()
sys.exit("no signature of it" if open(path + ".sig").read() != right else 0)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def signing(keeper: Keeper, sign: Sequence[str] = (), check: Sequence[str] = ()) -> None:
    """Have manifests signed and checked by these commands; by code in Python, behind ``-c``."""
    for name, words in (("SIGN", sign), ("VERIFY", check)):
        argv = list(words)
        if "-c" in argv:
            script = keeper.trial.guarded.parent / f"{name}.py"
            script.write_text(argv[-1])
            argv[-2:] = [str(script)]
        keeper.trial.env.pop(f"MIRROR__{name}_COMMAND", None)
        if argv:
            keeper.trial.env[f"MIRROR__{name}_COMMAND"] = ",".join(argv)


def signature(keeper: Keeper, run: str = "1") -> Path:
    return keeper.trial.root / "org/repo" / run / "SHA256SUMS.sig"


def test_a_mirror_is_signed_by_the_pass_that_finds_a_program_for_it(keeper: Keeper) -> None:
    assert not signature(keeper).exists()
    signing(keeper, python(SIGN), python(CHECK))
    assert keeper.run("verify")[0] == 1
    code, report, _ = keeper.sync()
    assert (code, report["downloaded"]) == (0, 0)
    assert {signature(keeper, run).exists() for run in ("1", "2")} == {True}
    assert keeper.story() == ALL_WELL
    assert keeper.run("verify")[1]["extra"] == []
    asked = len(keeper.trial.service.api.requests)
    keeper.sync()
    assert len(keeper.trial.service.api.requests) == asked + 1  # nothing new


def test_a_signature_that_is_taken_away_is_missing_until_the_next_pass(keeper: Keeper) -> None:
    signing(keeper, python(SIGN), python(CHECK))
    keeper.sync()
    forget_repository(keeper.trial.service)
    keeper.sync()
    signature(keeper).unlink()
    code, found, _ = keeper.run("verify")
    assert (code, found["missing"]) == (1, ["org/repo/1/SHA256SUMS.sig"])
    assert keeper.sync()[0] == 0
    assert keeper.story() == ALL_WELL


def test_a_wrong_signature_is_changed_and_a_repair_signs_anew(keeper: Keeper) -> None:
    signing(keeper, python(SIGN), python(CHECK))
    keeper.sync()
    signature(keeper).write_text(signature(keeper, "2").read_text())
    code, found, _ = keeper.run("verify")
    assert (code, found["changed"]) == (5, ["org/repo/1/SHA256SUMS.sig"])
    assert keeper.run("verify", "--repair")[0] == 0
    assert keeper.story() == ALL_WELL


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys; sys.exit('no key')", "ended with 1: no key"),
        ("pass", "left no SHA256SUMS.sig"),
        ("import sys; open(sys.argv[1] + '.sig', 'w')", "is empty"),
        ("import sys; open(sys.argv[1] + '.sig', 'w').write('x' * 2**21)", "is too long"),
    ],
)
def test_a_run_that_cannot_be_signed_is_told_in_every_pass_and_stays_complete(
    keeper: Keeper, code: str, says: str
) -> None:
    signing(keeper, python(code))
    for _ in range(2):
        exit_code, report, _ = keeper.sync()
        assert (exit_code, report["downloaded"]) == (1, 0)
        assert {it["reason"] for it in report["failures"]} == {"unsigned"}
        assert len(report["failures"]) == 2
        assert says in report["failures"][0]["message"]
        assert keeper.bad_sums("1") == 0
    signing(keeper, python(SIGN))
    assert keeper.story() == ALL_WELL


def test_a_program_that_is_not_there_fails_the_run_and_no_verification(keeper: Keeper) -> None:
    signing(keeper, ["no-such-program"])
    code, report, _ = keeper.sync()
    assert (code, {it["reason"] for it in report["failures"]}) == (1, {"unsigned"})
    assert "there is no program 'no-such-program'" in report["failures"][0]["message"]
    signing(keeper, python(SIGN), ["no-such-program"])
    assert keeper.sync()[0] == 0
    code, words = keeper.fail("verify")
    assert code == 2
    assert "mirror.verify_command cannot be started" in words
    assert signature(keeper).exists()


def test_a_manifest_that_changes_is_signed_anew(keeper: Keeper) -> None:
    signing(keeper, python(SIGN), python(CHECK))
    keeper.sync()
    before = signature(keeper).read_text()
    assert keeper.run("forget", "org/repo", "1", "app.bin", "--delete", "--yes")[0] == 0
    assert signature(keeper).read_text() != before
    assert keeper.run("verify")[0] == 0
    assert keeper.run("forget", "org/repo", "1", "--delete", "--yes")[0] == 0
    assert not signature(keeper).parent.exists()


def test_forgetting_goes_on_where_nothing_can_be_signed(keeper: Keeper) -> None:
    signing(keeper, python(SIGN), python(CHECK))
    keeper.sync()
    signing(keeper, python("import sys; sys.exit(3)"), python(CHECK))
    assert keeper.run("forget", "org/repo", "1", "app.bin", "--delete", "--yes")[0] == 0
    assert not signature(keeper).exists()  # and none of another content
    assert keeper.run("verify")[0] == 1
    signing(keeper, python(SIGN), python(CHECK))
    assert keeper.sync()[0] == 0
    assert keeper.run("verify")[0] == 0


def _ssh_keygen(folder: Path) -> tuple[list[str], list[str]]:
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signers = folder / "allowed_signers"
    signers.write_text("mirror " + key.with_suffix(".pub").read_text())
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "file", "{file}"]
    check = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "mirror", "-n", "file"]
    return sign, [*check, "-s", "{file}.sig"]


def _gpg(folder: Path) -> tuple[list[str], list[str]]:
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    make = ["--passphrase", "", "--quick-generate-key", "mirror", "ed25519", "sign"]
    subprocess.run([*gpg, *make], check=True, capture_output=True)
    sign = [*gpg, "--yes", "--detach-sign", "--output", "{file}.sig", "{file}"]
    return sign, [*gpg, "--verify", "{file}.sig", "{file}"]


def _minisign(folder: Path) -> tuple[list[str], list[str]]:
    public, secret = str(folder / "key.pub"), str(folder / "key.sec")
    subprocess.run(["minisign", "-G", "-W", "-p", public, "-s", secret], check=True)
    sign = ["minisign", "-S", "-s", secret, "-x", "{file}.sig", "-m", "{file}"]
    return sign, ["minisign", "-V", "-q", "-p", public, "-x", "{file}.sig", "-m", "{file}"]


@pytest.mark.servers
@pytest.mark.parametrize("kit", [_ssh_keygen, _gpg, _minisign], ids=lambda it: it.__name__[1:])
def test_the_recipes_work(keeper: Keeper, tmp_path: Path, kit: object) -> None:
    assert callable(kit)
    if shutil.which(kit.__name__[1:].replace("_", "-")) is None:
        pytest.skip("not installed here")
    folder = tmp_path / "keys"
    folder.mkdir()
    signing(keeper, *kit(folder))
    assert keeper.sync()[0] == 0
    assert keeper.run("verify")[0] == 0
    shutil.copyfile(signature(keeper, "2"), signature(keeper))
    assert keeper.run("verify")[0] == 5
