"""Selection rules of a repository: globs, statuses, events, age. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.globs import path_regex, plain_path, slug_regex
from artifact_sync.domain.model import FINISHED, RunScope

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from artifact_sync.domain.model import ArtifactKey, RepoName
    from artifact_sync.domain.settings import RepoSettings

_SPECIAL = r"[*?\[$]"
"""What a glob, or a configuration, would not take for itself."""
_LONGEST_SHOWN = 200
"""Characters of a path in a line for a configuration."""


class Rules(Struct, frozen=True):
    """The selection of one ``[[repo]]``, compiled. Make one by ``Rules.of``."""

    workflows: tuple[re.Pattern[str], ...]
    include: tuple[re.Pattern[str], ...]
    exclude: tuple[re.Pattern[str], ...]
    extract: tuple[re.Pattern[str], ...]
    settings: RepoSettings
    """What they were compiled from."""
    run_statuses: frozenset[str]
    events: frozenset[str]
    since: float | None
    fingerprint: str
    """Equal for two rules that select the same and put it in the same place.

    Neither order nor ``since`` matters: what falls out of ``since`` was settled all the same.
    """

    @classmethod
    def of(cls, settings: RepoSettings, layout: str) -> Rules:
        """Compile the settings of a repository; ``layout`` is ``mirror.layout``."""
        return cls(
            workflows=tuple(re.compile(slug_regex(glob)) for glob in settings.workflows),
            include=tuple(re.compile(path_regex(glob)) for glob in settings.include),
            exclude=tuple(re.compile(path_regex(glob)) for glob in settings.exclude),
            extract=tuple(re.compile(path_regex(glob)) for glob in settings.extract),
            settings=settings,
            run_statuses=frozenset(settings.run_statuses),
            events=frozenset(settings.events),
            since=settings.since,
            fingerprint=_fingerprint(settings, layout),
        )

    def wants_run(self, status: str, event: str) -> bool:
        """Whether a run is finished, its status and event wanted."""
        return self._wants_status(status) and (not self.events or event in self.events)

    def _wants_status(self, status: str) -> bool:
        return status in FINISHED and (not self.run_statuses or status in self.run_statuses)

    def may_want_run(self, status: str, event: str) -> bool:
        """``wants_run``, but an event that is not known may be a wanted one."""
        return self.wants_run(status, event) or (not event and self._wants_status(status))

    def wants_workflow(self, slug: str) -> bool:
        """Whether a workflow's artifacts are wanted at all."""
        return not self.workflows or _matches(self.workflows, slug)

    def wants(self, key: ArtifactKey) -> bool:
        """Whether the workflow is wanted and the path is included and not excluded.

        ``./a/``, ``a`` and ``a/`` are one path. A glob that fits a folder fits all that is below.
        One without a slash fits at every depth, one that begins with a slash from the top only.
        The log of a cube has no path: ``logs`` alone decides.
        """
        if not self.wants_workflow(key.workflow):
            return False
        if key.is_log:
            return self.settings.logs
        path = "/" + plain_path(key.local_path)
        included = not self.include or _matches(self.include, path)
        return included and not _matches(self.exclude, path)

    def extracts(self, key: ArtifactKey) -> bool:
        """Whether an artifact is unpacked if it is an archive. As ``wants`` has globs."""
        plain = "/" + plain_path(key.local_path)
        return not key.is_log and _matches(self.extract, plain)

    @property
    def lists_logs(self) -> bool:
        """Whether logs are noted at all: most mirrors want none."""
        return self.settings.logs

    def line_without(self, key: ArtifactKey) -> str:
        """The line of a configuration that leaves this artifact out, too; empty: none can."""
        if key.is_log:
            return "logs = false"
        path = plain_path(key.local_path)
        if not path:
            return ""
        glob = "/" + re.sub(_SPECIAL, r"[\g<0>]", path[:_LONGEST_SHOWN])
        glob += "*" if len(path) > _LONGEST_SHOWN else ""
        return f"exclude = [{', '.join(map(toml_string, (*self.settings.exclude, glob)))}]"

    def horizon(self, now: datetime) -> datetime | None:
        """Runs created before this are not wanted; None: no limit."""
        if self.since is None:
            return None
        try:
            return now - timedelta(seconds=self.since)
        except OverflowError:
            return None  # longer ago than there are dates: everything

    def scope(self, repo: RepoName, now: datetime) -> RunScope:
        """The runs of a repository that these rules are about now."""
        return RunScope(repo, self.fingerprint, self.horizon(now))


def toml_string(text: str) -> str:
    """A basic string of TOML, with whatever no terminal should get escaped."""
    valid = text.encode("utf-8", "replace").decode()  # a lone surrogate becomes a ``?``, which fits
    hidden = {ord(c): f"\\U{ord(c):08x}" for c in valid if not c.isprintable()}
    return '"' + valid.translate({ord('"'): r"\"", ord("\\"): r"\\", **hidden}) + '"'


def _matches(globs: Iterable[re.Pattern[str]], text: str) -> bool:
    return any(glob.match(text) for glob in globs)


def _fingerprint(settings: RepoSettings, layout: str) -> str:
    chosen = (
        settings.workflows,
        settings.include,
        settings.exclude,
        settings.run_statuses,
        settings.events,
    )
    logs = ["logs"] if settings.logs else []  # else the same as before there were logs
    text = json.dumps([layout, *(sorted(set(words)) for words in chosen), *logs])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
