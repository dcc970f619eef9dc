"""The page of exit codes and of reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain import errors
from artifact_sync.domain.errors import ExitCode, Reason, exit_code
from artifact_sync.runtime.docstrings import docstrings_in
from reference.markdown import code, from_docstring, table
from reference.markdown import page as whole

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABOUT = """\
Scripts rely on these: a code or a reason keeps its meaning. Every command ends with one of the
codes. `verify` has words of its own for some of them: see [its
section](commands.md#artifact-sync-verify)."""

_REASONS = """\
A reason says why one artifact, run or repository failed. It stands in brackets behind a failure
on the terminal, as `reason` in `--json`, and as the label of the metric
`artifact_sync_failures_total`. The last column is the exit code where nothing else has failed. When
failures have different exit codes, the code is 1; when one was interrupted, 130."""


def meanings() -> Iterator[tuple[ExitCode, str]]:
    """Every exit code and its meaning."""
    told = docstrings_in(errors)
    for code_ in ExitCode:
        yield code_, from_docstring(told[f"ExitCode.{code_.name}"])


def page() -> str:
    """Make the page."""
    told = docstrings_in(errors)
    codes = [(code(str(int(it))), it.name.lower(), meaning) for it, meaning in meanings()]
    reasons = [
        (code(it), from_docstring(told[f"Reason.{it.name}"]), code(str(int(exit_code([it])))))
        for it in Reason
    ]
    return whole(
        "Exit codes and reasons",
        _ABOUT,
        "## Exit codes",
        table(["code", "name", "meaning"], codes),
        "## Reasons",
        _REASONS,
        table(["reason", "meaning", "exit code"], reasons),
    )
