"""The pass with nothing new, by one request a repository and without an event loop.

An ordinary pass over a repository in which all is settled asks for the first page of its list of
runs, finds there what it knows already, looks at the newest files, and counts. That is done here
for the few repositories of a command, as long as each of these is beyond doubt; the others, and
whatever is out of the ordinary, are left to an ordinary pass. See decision 0014.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.app.locations import has_ledger, ledger_url, root_of
from artifact_sync.app.read_ledger import opened
from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.report import Report, report_of
from artifact_sync.domain.request import PassOptions, PassRequest
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.ledger import location
from artifact_sync.ledger.drivers.location import OpenTerms
from artifact_sync.ledger.queries import artifact_reads, list_mark, runs, totals
from artifact_sync.ledger.queries.runs import Wanting
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.identity import read_id
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.mirror.local.lock import MirrorLock
from artifact_sync.mirror.local.own_folder import check_mounted
from artifact_sync.source.api.probe import NoBriefAnswer, Service, brief_mark, goes_straight
from artifact_sync.sync.discover import reaches_back
from artifact_sync.sync.presence import RECENT, missing
from artifact_sync.sync.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.model import ArtifactRow, ExpectedFile, RunKey
    from artifact_sync.domain.settings import Config, RepoSettings
    from artifact_sync.ledger.drivers.store import Connection, Store
    from artifact_sync.ledger.queries.transaction import Transaction

_MOST = 4
"""Repositories; an ordinary pass spreads the cost of its start over more of them."""

_FULL_LOOK = timedelta(hours=1)
"""After so long the list is read again, and staging is swept, whatever the mark says."""


class Known(Struct, frozen=True):
    """What the ledger holds of a repository in which nothing is left to do."""

    mark: str
    runs: int
    kept: int
    unwell: Sequence[ArtifactRow]
    files: Sequence[ExpectedFile]
    newest: tuple[RunKey | None, RunKey | None]

    @property
    def report(self) -> Report:
        """What a pass over it comes to."""
        report = Report(runs=self.runs, found=self.kept, kept=self.kept)
        report.add(report_of(self.unwell))
        return report


def glanced(
    config: Config, wish: PassRequest, token: Token | None
) -> tuple[Report, PassRequest | None]:
    """What is known to be as it was, and what of the wish is left for an ordinary pass.

    Raises nothing of its own: what is wrong, the ordinary pass meets again, and tells.
    """
    report, left = Report(), wish.repos
    if _is_plain(config, wish):
        try:
            with ExitStack() as stack:
                glance = _Glance.at(config, token, stack)
                found = glance.over(wish.repos) if glance is not None else {}
            for repo in found.values():
                report.add(repo)
            left = tuple(it for it in wish.repos if it.name not in found)
        except (ArtifactSyncError, OSError):
            return Report(), wish
    return report, replace(wish, repos=left) if left else None


def _is_plain(config: Config, wish: PassRequest) -> bool:
    """Whether nothing of what is wished for is out of the ordinary."""
    names = {it.name for it in wish.repos}
    return (
        wish.mode == PassOptions()
        and not (wish.runs or wish.announced)
        and 0 < len(names) == len(wish.repos) <= _MOST
        and not any(name.endswith("/*") for name in names)
        and config.source.proxy is None
        and goes_straight(os.environ)
        and (root_of(config) / OWN_FOLDER).is_dir()
        and has_ledger(config)
        and not location(ledger_url(config, root_of(config))).server
    )


class _Glance(Struct, frozen=True):
    """A look at one mirror, which is locked, by its ledger."""

    service: Service
    store: Store
    mirror: LocalMirror
    layout: Layout
    began: datetime

    @classmethod
    def at(cls, config: Config, token: Token | None, stack: ExitStack) -> _Glance | None:
        """A glance at the mirror of a configuration; None when it is not plainly the ledger's."""
        root, settings = root_of(config), config.mirror
        if settings.must_be_mounted:
            check_mounted(root)
        mirror = LocalMirror(root, durability=settings.durability)
        stack.enter_context(MirrorLock(root))
        # all that a power cut can take of it is the word that nothing was new
        terms = OpenTerms("fast", create=False, hurried=True)
        store = stack.enter_context(opened(config, root, terms))
        if not store.read(lambda it: _belong(it, root, settings.layout)):
            return None
        secret = token.value if token is not None else ""
        service = Service(config.source.base_url, secret, config.source.ca_bundle)
        return cls(service, store, mirror, Layout(settings.layout), datetime.now(UTC))

    def over(self, repos: Sequence[RepoSettings]) -> dict[str, Report]:
        """The reports of the repositories that are as they were; they are recorded as passes."""
        known = {it.name: found for it in repos if (found := self._known(it)) is not None}
        asked = self._asked(list(known))
        calm = {
            name: it
            for name, it in known.items()
            if asked.get(name) == it.mark and self._stands(RepoName.parse(name), it)
        }
        if calm:
            self.store.commit([lambda tx: self._record(tx, calm)])
        return {name: it.report for name, it in calm.items()}

    def _known(self, settings: RepoSettings) -> Known | None:
        rules = Rules.of(settings, self.layout.template)
        since = rules.horizon(self.began)
        wanting = Wanting(RepoName.parse(settings.name), rules.fingerprint, since)
        return self.store.read(lambda it: _settled(it, wanting, self.began))

    def _asked(self, names: Sequence[str]) -> dict[str, str]:
        """The marks of these repositories as they are now, all asked for at once."""
        answers: dict[str, str] = {}

        def ask(name: str) -> None:
            try:
                answers[name] = brief_mark(self.service, RepoName.parse(name))
            except NoBriefAnswer:
                return

        others = [Thread(target=ask, args=(name,)) for name in names[1:]]
        for thread in others:
            thread.start()
        for name in names[:1]:
            ask(name)
        for thread in others:
            thread.join()
        return answers

    def _stands(self, repo: RepoName, known: Known) -> bool:
        """Whether the newest files and manifests are in their places; the links are put there."""
        damaged, bare = missing(self.mirror, self.layout, known.files)
        if damaged or any(self._is_complete(run) for run in bare):
            return False
        for link, run in zip(self.layout.latest(repo), known.newest, strict=True):
            if run is not None:
                self.mirror.point(link, self.layout.run_folder(run))
            else:
                self.mirror.unpoint(link)
        return True

    def _is_complete(self, key: RunKey) -> bool:
        row = self.store.read(lambda it: runs.run(it, key))
        return row is not None and row.complete

    def _record(self, tx: Transaction, calm: dict[str, Known]) -> None:
        """Put the passes down, for ``status``."""
        for name, known in calm.items():
            number = totals.begin_pass(tx, RepoName.parse(name), self.began)
            totals.end_pass(tx, number, known.report, datetime.now(UTC))


def _belong(connection: Connection, root: Path, layout: str) -> bool:
    """Whether the ledger is this mirror's, laid out as it is to be."""
    held = totals.mirror(connection)
    return bool(held) and held == read_id(root) and totals.layout(connection) == layout


def _settled(connection: Connection, wanting: Wanting, now: datetime) -> Known | None:
    """What is held of a repository, if nothing in it is left to do; read from one state."""
    repo = wanting.repo
    mark, at = list_mark.mark(connection, repo) or ("", now)
    if not mark or not timedelta() <= now - at < _FULL_LOOK:
        return None
    horizon = runs.horizon(connection, repo)
    if horizon is not None and not reaches_back(horizon, wanting.since):
        return None
    if runs.next_look(connection, wanting) is not None:
        return None
    return Known(
        mark,
        *totals.settled_totals(connection, wanting),
        artifact_reads.unwell(connection, wanting),
        artifact_reads.recent(connection, repo, RECENT),
        runs.newest_complete(connection, repo),
    )
