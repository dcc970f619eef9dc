"""What a pass that has ended means for the schedule. Pure."""

from __future__ import annotations

from http import HTTPStatus

from artifact_sync.errors import CredentialsRefused, Unreachable
from artifact_sync.schedule import Verdict


def verdict_of(trouble: Exception | None) -> Verdict:
    """What it says of the repository, or of the service, that a look came to this end.

    401 means the token and so concerns every repository; 403 means this one.
    """
    if trouble is None:
        return Verdict.WELL
    if isinstance(trouble, Unreachable):
        return Verdict.UNREACHABLE
    if isinstance(trouble, CredentialsRefused) and trouble.status == HTTPStatus.UNAUTHORIZED:
        return Verdict.REFUSED
    return Verdict.FAILED
