"""Configuration values and their defaults.

Sizes are bytes, durations are seconds.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from artifact_sync.domain.archives import ExtractLimits
from artifact_sync.domain.model import RepoName

DEFAULT_LAYOUT = "{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}"
DEFAULT_BASE_URL = "https://api.sourcecraft.tech"

OWN_FOLDER = ".artifact-sync"
"""The program's own folder at a mirror's root."""
CONTROL_SOCKET = "daemon.sock"
"""The daemon's Unix socket in the own folder."""

Durability = Literal["full", "fast"]
Watch = Literal["off", "report", "restore"]
Dedupe = Literal["off", "reflink", "hardlink"]
LogFormat = Literal["auto", "text", "json", "journal"]

Timetable = tuple[tuple[int, int | None], ...]
"""From which minute of the day how many bytes a second; None: as many as come. Empty: no limit.

Sorted by minute, the first one at 0. A plain ``"50MiB"`` is ``((0, 52428800),)``.
"""


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[source]``: the service and how to reach it."""

    base_url: str = DEFAULT_BASE_URL
    """The API's address. Plain http only on this machine: the token would travel in clear."""
    token_file: Path | None = None
    """A file with the token, readable by its owner alone; None: $SOURCECRAFT_TOKEN."""
    ca_bundle: Path | None = None
    """PEM file of the authorities to trust instead of the public ones."""
    proxy: str | None = None
    """Proxy for everything; None: the environment's."""
    rate_limit: float = 25.0
    """Requests to the API per second, over all repositories."""
    retention: float = 14 * 86_400.0
    """Seconds after a run's creation at which its artifacts vanish: what others have observed."""

    @property
    def host(self) -> str:
        """The host of the service, and its port if one is given."""
        return urlsplit(self.base_url).netloc


class ObjectUrl(str):
    """``s3://BUCKET/PREFIX``, or of ``gs``, ``az`` or ``memory``: checked, and without secrets."""

    __slots__ = ()


class MirrorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[mirror]``: where files go and how carefully."""

    root: Path | ObjectUrl | None = None
    """The mirror's folder, or its place in an object store."""
    endpoint: str | None = None
    """The address of the object store; None: the provider's, or as the environment says."""
    credentials_file: Path | None = None
    """The credentials of the object store, in a file of their own; None: of the environment."""
    staging: Path | None = None
    """This machine's folder for what comes, of a mirror in an object store; None: the user's."""
    layout: str = DEFAULT_LAYOUT
    """Where an artifact goes below the root. A mirror keeps the one that it was begun with."""
    min_free: int = 0
    """Bytes that a download must leave free on the mirror's file system."""
    durability: Durability = "full"
    """``full``: every file is durable before the ledger says so. ``fast``: left to the system."""
    watch: Watch = "off"
    """What the daemon does about a mirrored file that somebody deletes or changes."""
    must_be_mounted: bool = False
    """Refuse a root that lies on the file system of ``/``: the mirror's own is not mounted."""
    dedupe: Dedupe = "off"
    """How a file whose bytes are here already shares their blocks."""
    dedupe_before_download: bool = False
    """Whether what is known to be here already, by its SHA-256, is shared without a download."""
    sign_command: tuple[str, ...] = ()
    """Program and arguments that sign a ``SHA256SUMS``; empty: nothing is signed."""
    verify_command: tuple[str, ...] = ()
    """Program and arguments that check a signature, for ``verify``; empty: nothing is checked."""


class LedgerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[ledger]``: where the bookkeeping lives."""

    url: str | None = None
    """Of SQLite or PostgreSQL; None: SQLite in ``.artifact-sync/`` under the mirror's root."""


class RepoKeepSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``keep`` of a repository: which runs stay, in the place of all of ``[keep]``."""

    last: int | None = None
    """The newest runs stay, so many. None, as for the others: this rule keeps nothing."""
    last_success: int | None = None
    """The newest runs that succeeded stay, so many."""
    hourly: int | None = None
    """The newest run of each hour (UTC) stays, of so many hours with a run."""
    daily: int | None = None
    """The newest run of each day (UTC) stays, of so many days with a run."""
    weekly: int | None = None
    """The newest run of each week stays, of so many; a week begins on Monday."""
    monthly: int | None = None
    """The newest run of each month stays, of so many months with a run."""
    yearly: int | None = None
    """The newest run of each year stays, of so many years with a run."""
    within: float | None = None
    """Seconds before the repository's newest run: what was created since stays."""
    max_size: int | None = None
    """Bytes that a repository's files may take; beyond, the oldest runs go. None: no bound."""
    max_share: float = 0.25
    """Of a repository's runs, the share that may go at a time without ``prune --yes``."""
    schedule: str | None = None
    """When the daemon prunes, as a cron expression; None: after passes that brought something."""
    displaced: float | None = None
    """Seconds after which what was displaced is removed for good; None: as ``[keep]`` says."""


class KeepSettings(RepoKeepSettings, frozen=True, kw_only=True):
    """``[keep]``: which runs stay, and how long what nobody needs any more.

    A run stays if any rule keeps it. Without any, all stay.
    """

    max_size: int | None = None
    """Bytes that the files of all repositories may take; beyond, the oldest runs go."""
    displaced: float | None = None
    """Seconds after which what was displaced is removed for good; None: never."""


class VerifySettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[verify]``: how the daemon reads the mirror again, in search of damage."""

    every: float = 30 * 86_400.0
    """Seconds within which every file is read again; 0: the daemon reads nothing again."""
    rate: int = 20 * 1024 * 1024
    """Bytes a second that it reads; 0: as many as come."""


class DownloadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[download]``: how files are fetched."""

    jobs: int = 8
    """Downloads at the same time."""
    timeout: float = 60.0
    """Seconds without a single byte, or without a connection, after which a try has failed."""
    attempts: int = 5
    """Tries a file (and a request to the API) that make no progress before it fails."""
    ranges: int = 4
    """Connections for one big file that comes slowly; 1: never more than one."""
    limit: Timetable = ()
    """Bytes a second of all downloads together, by the time of the day in ``daemon.time_zone``."""


class RepoSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[[repo]]``: a repository, or all of an organisation's, and what of it is wanted."""

    name: str
    """``org/repo`` or ``org/*``."""
    workflows: tuple[str, ...] = ()
    """Globs over workflow slugs; empty: all."""
    include: tuple[str, ...] = ()
    """Globs over ``local_path``; empty: all."""
    exclude: tuple[str, ...] = ()
    """Globs over ``local_path`` that win over ``include``."""
    run_statuses: tuple[str, ...] = ()
    """Finished statuses whose runs are wanted; empty: all of them."""
    events: tuple[str, ...] = ()
    """Event types whose runs are wanted; empty: all."""
    since: float | None = None
    """Seconds: only runs created within the last so many. None: all."""
    logs: bool = False
    """Whether the logs of cubes are wanted, too."""
    extract: tuple[str, ...] = ()
    """Globs over ``local_path``: archives that are unpacked beside themselves; empty: none."""
    interval: float | None = None
    """Seconds between the daemon's looks; None: ``daemon.interval``, or ``cron``."""
    cron: str | None = None
    """When the daemon looks, as a cron expression; not together with ``interval``."""
    time_zone: str | None = None
    """The IANA time zone of ``cron``; None: ``daemon.time_zone``."""
    keep: RepoKeepSettings | None = None
    """Which of its runs stay, in the place of all of ``[keep]``; None: ``[keep]`` says."""


class ExtractSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[extract]``: how much may come of one archive that is unpacked."""

    max_entries: int = 100_000
    """Files, folders and links in it."""
    max_bytes: int = 10 * 2**30
    """Bytes of all its files together."""
    max_ratio: int = 200
    """Bytes that come out for each that it has itself."""

    @property
    def limits(self) -> ExtractLimits:
        """The same as values."""
        return ExtractLimits(self.max_entries, self.max_bytes, self.max_ratio)


class DaemonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[daemon]``: the background service."""

    interval: float = 300.0
    """Seconds between looks at a repository that has no ``interval`` or ``cron`` of its own."""
    time_zone: str | None = None
    """The IANA time zone of ``cron`` and ``download.limit``; None: the machine's own."""
    grace: float = 30.0
    """Seconds that files in flight have to finish when the daemon is told to stop."""
    lag_alert: float = 3600.0
    """Seconds that a repository may lag before ``/readyz`` says so."""
    log_format: LogFormat = "auto"
    """``auto``: systemd's journal where stderr goes there, else lines of text."""


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[web]``: webhook, health, metrics and status over HTTP."""

    listen: str | None = None
    """``HOST:PORT``, ``[::1]:PORT`` or ``:PORT`` (loopback); None: no HTTP at all."""
    secret_files: tuple[Path, ...] = ()
    """Files of webhook secrets, one a line; empty: systemd's credential ``webhook-secret``."""
    body_limit: int = 1024 * 1024
    """Bytes that a webhook's body may have."""


class HookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[[hook]]``: a program or an address that is told of events."""

    on: tuple[str, ...]
    """Events that it is told of."""
    name: str | None = None
    """Names it in messages and in the outbox; None: a name is made from what it calls."""
    command: tuple[str, ...] | None = None
    """A program and its arguments, called without a shell."""
    url: str | None = None
    """An address to which the event is posted as JSON."""
    secret_file: Path | None = None
    """A file with the secret that signs what is posted, in its first line; None: not signed."""
    timeout: float = 60.0
    """Seconds after which a try has failed."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration."""

    source: SourceSettings = SourceSettings()
    mirror: MirrorSettings = MirrorSettings()
    ledger: LedgerSettings = LedgerSettings()
    keep: KeepSettings = KeepSettings()
    verify: VerifySettings = VerifySettings()
    download: DownloadSettings = DownloadSettings()
    extract: ExtractSettings = ExtractSettings()
    daemon: DaemonSettings = DaemonSettings()
    web: WebSettings = WebSettings()
    repo: tuple[RepoSettings, ...] = ()
    hook: tuple[HookSettings, ...] = ()
    path: Path | None = None
    """The file it was read from; None: there was none."""
    wait: bool = True
    """Of a call, no key: whether it waits for repositories that other processes work on."""

    def entry_of(self, repo: RepoName) -> RepoSettings | None:
        """The ``[[repo]]`` of a repository, else its organisation's; None: neither."""
        entries = {it.name: it for it in self.repo}
        return entries.get(str(repo)) or entries.get(str(RepoName.star(repo.org)))
