"""Caches temporary links by run and renews them single-flight.

One request to the ``Source`` serves everybody who waits for a link of the same run.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct, field

from artifact_sync.domain.errors import LinkUnusable, ServiceError
from artifact_sync.domain.events import LinkRenewed, Noticed
from artifact_sync.domain.link_expiry import is_cleartext

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import ArtifactKey, Link, RunKey
    from artifact_sync.domain.ports import Clock, Source

_MARGIN = 5.0
"""A link is not used in its last seconds ..."""
_MARGIN_SHARE = 0.25
"""... or in this last share of its life, where that is shorter."""

_TROUBLE = 30.0
"""Seconds for which a failed request is the answer to all: the source has retried already."""


class _Held(Struct):
    """The links of one run."""

    outstanding: dict[tuple[str, ...], set[ArtifactKey]]
    """Artifacts that still need a link, by the parts of their cube's key."""
    links: dict[ArtifactKey, tuple[Link, float]] = field(default_factory=dict)
    """Each with the moment after which it is too old for a new request."""
    flight: asyncio.Lock = field(default_factory=asyncio.Lock)
    trouble: tuple[ServiceError, float] | None = None
    """The last request's error, and until when it is the answer to all."""


class Links:
    """Links of the runs being downloaded. On one event loop; only for this process."""

    def __init__(
        self, source: Source, clock: Clock, observer: Observer, *, warn: bool = False
    ) -> None:
        """``warn``: notify once when links are plain http although the API is not."""
        self._source = source
        self._clock = clock
        self._observer = observer
        self._warn = warn
        self._runs: dict[tuple[str, ...], _Held] = {}
        """By the parts of the run's key."""

    def open(
        self, run: RunKey, links: Mapping[ArtifactKey, Link], wanted: Iterable[ArtifactKey]
    ) -> None:
        """Start with the links of a run's answer that has just come."""
        outstanding: dict[tuple[str, ...], set[ArtifactKey]] = {}
        for key in wanted:
            outstanding.setdefault(key[:6], set()).add(key)
        held = self._runs[(*run.repo, run.run)] = _Held(outstanding)
        self._keep(held, links)

    def close(self, run: RunKey) -> None:
        """Forget a run's links."""
        self._runs.pop((*run.repo, run.run), None)

    def done(self, key: ArtifactKey) -> None:
        """Forget an artifact's link: it needs none any more."""
        if (held := self._runs.get(key[:3])) is not None:
            held.links.pop(key, None)
            held.outstanding.get(key[:6], set()).discard(key)

    async def get(self, key: ArtifactKey) -> Link:
        """A link that has not lapsed, renewed if need be. ``ServiceError``, ``LinkUnusable``."""
        held = self._runs[key[:3]]
        return self._fresh(held, key) or await self._renewed(held, key, None)

    async def renew(self, key: ArtifactKey, refused: Link) -> Link:
        """A link other than the refused one; one renewed meanwhile will do."""
        return await self._renewed(self._runs[key[:3]], key, refused)

    async def _renewed(self, held: _Held, key: ArtifactKey, refused: Link | None) -> Link:
        async with held.flight:
            link = self._fresh(held, key)
            if link is None or link == refused:
                link = await self._fetch(held, key)
        return link

    async def _fetch(self, held: _Held, key: ArtifactKey) -> Link:
        wanted = held.outstanding.get(key[:6], set()) | {key}
        if held.trouble is not None and self._clock.monotonic() < held.trouble[1]:
            raise held.trouble[0]
        try:
            links = await self._source.links(key.run_key, frozenset(wanted))
        except ServiceError as error:
            held.trouble = (error, self._clock.monotonic() + _TROUBLE)
            raise
        self._keep(held, links)
        self._observer.notify(LinkRenewed(key.run_key, len(links)))
        if key not in links:
            raise LinkUnusable(
                "the service says that the artifact is there but gives no link to it"
            )
        return links[key]

    def _fresh(self, held: _Held, key: ArtifactKey) -> Link | None:
        link, until = held.links.get(key, (None, 0.0))
        return link if self._clock.monotonic() < until else None

    def _keep(self, held: _Held, links: Mapping[ArtifactKey, Link]) -> None:
        now = self._clock.monotonic()
        if self._warn and any(is_cleartext(link.url) for link in links.values()):
            self._warn = False
            self._observer.notify(Noticed("files come over plain http, where others may read them"))
        for key, link in links.items():
            if key in held.outstanding.get(key[:6], ()):
                margin = min(_MARGIN, _MARGIN_SHARE * (link.lapses_at - now))
                held.links[key] = (link, link.lapses_at - margin)
