"""What a verification says when it is raised."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifact_sync.app.python_values import Verification
from artifact_sync.domain.errors import CredentialsRefused, ExitCode, IntegrityFailure, Reason
from artifact_sync.domain.model import Failure

REFUSED = Failure("acme/rocket", Reason.CREDENTIALS, "the service refused the token")
A, B = Path("/mirror/a"), Path("/mirror/b")


def verification(
    code: ExitCode, *, changed: tuple[Path, ...] = (), failures: tuple[Failure, ...] = ()
) -> Verification:
    return Verification(1, (), changed, (), (A,), failures, code)


def test_what_is_complete_raises_nothing() -> None:
    verification(ExitCode.COMPLETE, changed=(A,)).raise_for_failures()


def test_the_first_file_that_is_left_is_named() -> None:
    with pytest.raises(IntegrityFailure) as raised:
        verification(ExitCode.INTEGRITY, changed=(A, B)).raise_for_failures()
    assert str(raised.value) == f"missing or changed: 1, the first: {B}"


def test_a_failure_without_damage_is_told() -> None:
    found = verification(ExitCode.CREDENTIALS, failures=(REFUSED,))
    with pytest.raises(CredentialsRefused) as raised:
        found.raise_for_failures()
    assert (str(raised.value), raised.value.report) == (REFUSED.message, found)
