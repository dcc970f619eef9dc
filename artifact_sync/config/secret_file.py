"""Reads small secret files, without blocking, and checks their mode."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""The variable by which systemd names the folder of a service's credentials."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_INHERITED = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")


def credential(name: str, environ: Mapping[str, str]) -> Path | None:
    """The path of a systemd credential (``LoadCredential=``), which need not exist.

    None when the process was given no credentials at all.
    """
    directory = environ.get(_DIRECTORY)
    return Path(directory) / name if directory else None


def existing_credential(name: str, environ: Mapping[str, str]) -> Path | None:
    """The path of a systemd credential; None when there is none of this name."""
    path = credential(name, environ)
    return path if path is not None and os.path.lexists(path) else None


def read_secret(
    path: Path, environ: Mapping[str, str], *, what: str, remedy: str, most: int
) -> bytes:
    """Read at most ``most`` bytes of a file that others cannot open.

    ``ConfigError`` when it cannot be read or others may open it. The message begins with ``what``,
    and ends with ``remedy`` when the file cannot be read. Blocking.
    """
    try:
        raw, mode = read_regular(path, most)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError([f"{what} {path}: cannot be read: {why}; {remedy}"]) from None
    if os.name == "posix" and mode & _OTHERS and not _is_credential(path, environ):
        problem = f"others can read or write it (mode {stat.S_IMODE(mode):04o})"
        raise ConfigError([f"{what} {path}: {problem}; chmod 600 {quote(str(path))}"])
    return raw


def read_regular(path: Path, most: int) -> tuple[bytes, int]:
    """Read at most ``most`` bytes of a regular file, and its mode.

    ``OSError``, also for what is no regular file, such as a pipe that nobody writes to. A
    descriptor that was inherited, as for ``<(command)``, may be a pipe. Blocking.
    """
    inherited = str(path).startswith(_INHERITED)
    flags = 0 if inherited else getattr(os, "O_NONBLOCK", 0)
    with open(path, "rb", opener=lambda name, usual: os.open(name, usual | flags)) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not (inherited or stat.S_ISREG(mode)):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read(most), mode


def _is_credential(path: Path, environ: Mapping[str, str]) -> bool:
    """Whether systemd guards the file, by access control lists instead of the mode."""
    directory = environ.get(_DIRECTORY, "")
    with suppress(OSError):
        return bool(directory) and path.resolve().is_relative_to(Path(directory).resolve())
    return False
