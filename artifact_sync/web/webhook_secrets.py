"""Where the webhook's secrets come from. What they sign is ``signature``'s; none is ever shown."""

from __future__ import annotations

import asyncio
import math
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ConfigError
from artifact_sync.runtime.threads import AbandonableThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.settings import WebSettings

CREDENTIAL = "webhook-secret"
"""The file's name below ``$CREDENTIALS_DIRECTORY`` (systemd's ``LoadCredential=``)."""

_FRESH = 0.1
"""Seconds for which a reading counts."""

_LONGEST = 65_536  # bytes of one file; a secret has some dozens
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_secrets(settings: WebSettings, environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """The secrets of all ``secret_files``, without those of the systemd credential; none: empty.

    One a line, so that a new one can be added before the old one is taken away. ``ConfigError``
    when a file that should be there cannot be used: missing, empty, or open to others. Blocks; to
    be called again whenever the secrets are needed, so that a replaced file counts at once.
    """
    files = settings.secret_files or _credential(environ)
    found: dict[bytes, None] = {}
    for path in files:
        found |= dict.fromkeys(_from_file(path, environ))
    return tuple(found)


def _credential(environ: Mapping[str, str]) -> tuple[Path, ...]:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    path = Path(directory) / CREDENTIAL if directory else None
    return (path,) if path is not None and os.path.lexists(path) else ()


def _from_file(path: Path, environ: Mapping[str, str]) -> list[bytes]:
    """The secrets in a file that only its owner may open, or that systemd guards."""
    raw, mode = _read(path)
    if os.name == "posix" and mode & _OTHERS and not _guarded(path, environ):
        problem = f"others can read or write it (mode {stat.S_IMODE(mode):04o})"
        raise ConfigError([f"webhook secret file {path}: {problem}; chmod 600 {quote(str(path))}"])
    if len(raw) > _LONGEST:
        raise ConfigError([f"webhook secret file {path}: is too long for secrets, one a line"])
    lines = [line.strip() for line in raw.removeprefix(_BYTE_ORDER_MARK).splitlines()]
    secrets = [line for line in lines if line]
    if not secrets:
        hint = "put the webhook's secret there, one a line"
        raise ConfigError([f"webhook secret file {path}: is empty; {hint}"])
    return secrets


def _read(path: Path) -> tuple[bytes, int]:
    """Content and mode of a regular file; anything else might keep us waiting for ever."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError([f"webhook secret file {path}: is no regular file"])
            return file.read(_LONGEST + 1), mode
    except OSError as error:
        hint = "write the webhook's secret into it, or correct web.secret_files"
        why = error.strerror or type(error).__name__
        problem = f"webhook secret file {path}: cannot be read: {why}; {hint}"
        raise ConfigError([problem]) from None


def _without_waiting(path: str, flags: int) -> int:
    """Open even a pipe that nobody writes to."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _guarded(path: Path, environ: Mapping[str, str]) -> bool:
    """Whether the file is a systemd credential: those are guarded by ACLs, not by their mode."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return False
    with suppress(OSError):
        return path.resolve().is_relative_to(Path(directory).resolve())
    return False


@dataclass(frozen=True, slots=True)
class KnownSecrets:
    """What a reading came to."""

    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    problem: str = "there is none"
    """Why there are no secrets."""


_LATE = KnownSecrets(problem="they could not be read in time: a disk is slow, or hangs")


class Secrets:
    """The secrets as they are now: read again for each event, but not for each of a flood."""

    def __init__(
        self,
        read: Callable[[], tuple[bytes, ...]],
        clock: Clock,
        chores: AbandonableThreads | None = None,
    ) -> None:
        self._read = read
        self._chores = chores or AbandonableThreads()
        self._clock = clock
        self._reading: asyncio.Future[None] | None = None
        self._known = KnownSecrets()
        self._until = -math.inf

    async def known(self, seconds: float | None = None) -> KnownSecrets:
        """The secrets, or why there are none. Safe from many tasks at once.

        ``seconds``: how long to wait for a disk. One reading is under way at most.
        """
        if self._reading is None and self._clock.monotonic() < self._until:
            return self._known
        reading = self._reading = self._reading or asyncio.ensure_future(self._read_again())
        if not (await asyncio.wait((reading,), timeout=seconds))[0]:
            return _LATE
        reading.result()
        return self._known

    async def _read_again(self) -> None:
        try:
            self._known = await self._chores(self._ask)
            self._until = self._clock.monotonic() + _FRESH
        finally:
            self._reading = None

    def _ask(self) -> KnownSecrets:
        try:
            return KnownSecrets(self._read())
        except ConfigError as error:
            return KnownSecrets(problem=str(error))
