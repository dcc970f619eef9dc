from __future__ import annotations

import errno
import os
from pathlib import Path

import click
import pytest

from artifact_sync.cli.errors import run_program
from artifact_sync.cli.options import verbosity
from artifact_sync.cli.session import session
from artifact_sync.domain.errors import (
    ConfigError,
    CredentialsRefused,
    IntegrityFailure,
    Interrupted,
    MirrorBusy,
    NoSpace,
    Unreachable,
)


def ending(error: BaseException | int | None, *arguments: str) -> int:
    """The exit code of a program that ends like this."""

    @click.command()
    @verbosity
    def command() -> int | None:
        session().mask.add("s3cret")
        if isinstance(error, BaseException):
            raise error
        return error

    return run_program(command, arguments)


def group(*errors: Exception) -> BaseExceptionGroup:
    return BaseExceptionGroup("several", errors)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (None, 0, ""),
        (5, 5, ""),
        (SystemExit(3), 3, ""),
        (click.UsageError("no such thing"), 2, "Error: no such thing\n"),
        (ConfigError(["f:1: a.b: x", "f:2: a.c: y"]), 2, "f:1: a.b: x\nf:2: a.c: y\n"),
        (CredentialsRefused("no", request_id="r1"), 3, "artifact-sync: no (request id r1)\n"),
        (Unreachable("no answer"), 4, "artifact-sync: no answer\n"),
        (IntegrityFailure("bad bytes"), 5, "artifact-sync: bad bytes\n"),
        (NoSpace("full"), 6, "artifact-sync: full\n"),
        (MirrorBusy(Path("/m"), "pid 7"), 7, "in use by pid 7: wait for it to end, or stop it\n"),
        (Interrupted("stopped"), 130, "artifact-sync: stopped\n"),
        (KeyboardInterrupt(), 130, "artifact-sync: interrupted\n"),
        (click.Abort(), 130, "artifact-sync: interrupted\n"),
        (BrokenPipeError(errno.EPIPE, "gone"), 1, ""),
        (OSError(errno.ENOSPC, "full"), 6, "artifact-sync: cannot write the output: full\n"),
        (group(NoSpace("a"), NoSpace("b")), 6, "artifact-sync: a\nartifact-sync: b\n"),
        (group(NoSpace("a"), Unreachable("b")), 1, "artifact-sync: a\nartifact-sync: b\n"),
        (Unreachable("at https://h/p?q=1 s3cret\x1b[2J"), 4, "at https://h/… ***\\x1b[2J\n"),
    ],
)  # fmt: skip
def test_every_ending_has_its_code_and_its_words(
    error: BaseException | int | None, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(error) == code
    out, err = capsys.readouterr()
    assert out == ""
    err, *_ = err.partition("see docs: ")
    assert err.endswith(message)
    assert "Traceback" not in err
    assert bool(err) == bool(message)


@pytest.mark.parametrize(
    "error", [ValueError("s3cret"), EOFError("s3cret"), group(ValueError("s3cret"))]
)
def test_a_bug_is_one_line_that_asks_for_more(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(error) == 1
    line, pointer = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("artifact-sync: this is a bug: ")
    assert line.endswith("; run it again with -v and report it")
    assert pointer == "see docs: troubleshooting/limits#bug"
    assert "s3cret" not in line


def test_with_v_a_bug_shows_its_masked_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(ValueError("https://h/p?q=1 s3cret"), "-v") == 1
    err = capsys.readouterr().err
    assert "Traceback (most recent call last):" in err
    assert "ValueError: https://h/… ***" in err
    assert "s3cret" not in err.replace('add("s3cret")', "")


@pytest.mark.parametrize(
    ("error", "sections"),
    [
        (NoSpace("full"), ["disk#no-space"]),
        (group(NoSpace("a"), Unreachable("b"), NoSpace("c")), [
            "disk#no-space",
            "service#no-answer",
        ]),
        (ConfigError(["f:1: a: unknown key; b", "f:2: c: x"]), [
            "configuration#unknown-key",
            "configuration#value",
        ]),
        (OSError(errno.ENOSPC, "full"), ["disk#output"]),
        (Interrupted("stopped"), []),
        (click.UsageError("no such thing"), []),
    ],
)  # fmt: skip
def test_behind_all_messages_stands_once_where_each_is_explained(
    error: BaseException, sections: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ending(error)
    *_, last = capsys.readouterr().err.partition("see docs: ")
    told = [line.removeprefix("see docs: ") for line in last.splitlines()]
    assert told == [f"troubleshooting/{section}" for section in sections]


def test_v_and_q_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(None, "-v", "-q") == 2
    assert "-v and -q contradict each other" in capsys.readouterr().err


def test_the_token_of_the_environment_is_hidden_from_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(os.environ, "SOURCECRAFT_TOKEN", "plain-token")
    assert ending(Unreachable("it was plain-token")) == 4
    assert capsys.readouterr().err.startswith("artifact-sync: it was ***\n")
