"""The repositories of an organisation: those listed, and those known before."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import NotFound
from artifact_sync.domain.events import Noticed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Source, TotalsLedger


async def repositories(
    source: Source, ledger: TotalsLedger, observer: Observer, org: str
) -> AsyncGenerator[RepoName]:
    """Every repository that ``org/*`` stands for. ``ServiceError``.

    A known one that is listed no more, as one renamed or removed upstream, stays selected: what
    is here of it is judged in each pass. That of an organisation that is gone, too.
    """
    listed = set()
    try:
        async with aclosing(source.repositories(org)) as found:
            async for repo in found:
                listed.add(repo)
                yield repo
    except NotFound:
        kept = await ledger.kept_repositories(org)
        if not kept:
            raise
        message = f"{org} is not there any more, or the token may not see it"
        observer.notify(Noticed(f"{message}: what is mirrored stays"))
    else:
        kept = await ledger.kept_repositories(org)
    for repo in kept:
        if repo not in listed:
            yield repo
