"""Turn exceptions into entries of a report; log bugs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ArtifactSyncError, Reason, system_limit
from artifact_sync.domain.model import Failure
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = get_logger(__name__)


def reasons_of(error: BaseException, **where: object) -> Iterator[tuple[Reason, str]]:
    """Reason and message of an error, or of each in a group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from reasons_of(inner, **where)
    elif ours := error if isinstance(error, ArtifactSyncError) else system_limit(error):
        yield ours.reason, str(ours)
    else:
        _log.error("a bug", exc_info=error, **where)
        yield Reason.INTERNAL, f"a bug in artifact-sync: {type(error).__name__}"


def explained(error: BaseException) -> dict[str, object]:
    """The fields of a log line: why, or the traceback of a bug."""
    ours = error if isinstance(error, ArtifactSyncError) else system_limit(error)
    return {"why": str(ours)} if ours else {"exc_info": error}


def failures_of(error: BaseException) -> list[Failure]:
    """The entries of a report about what has ended its pass. Bugs are logged."""
    return [Failure("", reason, message) for reason, message in reasons_of(error)]
