"""What is said of errors that come in a group."""

from __future__ import annotations

from artifact_sync.domain.errors import DiskError, Reason
from artifact_sync.sync.failures import reasons_of


def test_each_error_of_a_group_is_told_with_its_own_reason() -> None:
    error = ExceptionGroup("", [DiskError("read-only"), ExceptionGroup("", [KeyError("secret")])])
    assert list(reasons_of(error, repo="org/repo")) == [
        (Reason.DISK, "read-only"),
        (Reason.INTERNAL, "a bug in artifact-sync: KeyError"),
    ]
