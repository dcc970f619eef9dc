"""Reads credentials from a file, again when it has changed. Never from a configuration."""

from __future__ import annotations

import configparser
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifact_sync.domain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SYSTEMD_NAME = "store-credentials"
"""The name of the systemd credential."""

_LONGEST = 1 << 20
_BELIEVED = timedelta(seconds=1)


def credentials_file(given: Path | None, scheme: str, environ: Mapping[str, str]) -> Path | None:
    """The file to read; None: the environment's variables, or the machine's role.

    What the configuration names goes first, then systemd's credential. Keys in the environment go
    before AWS's own file.
    """
    if given is not None:
        return given
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        file = Path(folder, SYSTEMD_NAME)
        if file.exists():
            return file
    if scheme != "s3" or environ.get("AWS_ACCESS_KEY_ID"):
        return None
    named = environ.get("AWS_SHARED_CREDENTIALS_FILE")
    file = Path(named) if named else Path(environ.get("HOME", "~"), ".aws", "credentials")
    return file if named or file.is_file() else None


def credential_options(
    scheme: str, given: Path | None, environ: Mapping[str, str]
) -> Mapping[str, Any]:
    """What a store is opened with. ``UsageError``: the file cannot be used."""
    file = credentials_file(given, scheme, environ)
    if file is None:
        return {}
    if scheme == "gs":  # by which obstore itself asks for tokens: it takes no other one later
        return {"service_account_key": _content(file)}
    profile = environ.get("AWS_PROFILE", "default")
    keys = RenewedKeys(file, partial(aws_keys, profile) if scheme == "s3" else _azure_key)
    keys()  # what cannot be read is said now
    return {"credential_provider": keys}


class RenewedKeys:
    """Keys of a file, read again when it has changed."""

    def __init__(self, file: Path, read: Callable[[Path], dict[str, Any]]) -> None:
        self._file = file
        self._read = read
        self._state: tuple[int, ...] | None = None
        self._keys: dict[str, Any] = {}

    def __call__(self) -> dict[str, Any]:
        """The keys, believed for a second. ``UsageError``."""
        state = self._look()
        if state != self._state:
            self._keys, self._state = self._read(self._file), state
        return {**self._keys, "expires_at": datetime.now(UTC) + _BELIEVED}

    def _look(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._file)  # noqa: PTH116 - the file may be a link
        except OSError as error:
            raise _unreadable(self._file, error) from None
        return found.st_mtime_ns, found.st_ino, found.st_size


def aws_keys(profile: str, file: Path) -> dict[str, Any]:
    """The keys of a profile in a file as AWS writes it. ``UsageError``."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(_content(file))
        section = parser[profile]
        keys = {
            "access_key_id": section["aws_access_key_id"].strip(),
            "secret_access_key": section["aws_secret_access_key"].strip(),
        }
    except (configparser.Error, KeyError):
        raise UsageError(
            f"{file} has no keys of AWS: it needs a part [{profile}] with"
            " aws_access_key_id and aws_secret_access_key"
        ) from None
    token = section.get("aws_session_token", "").strip()
    return {**keys, "token": token or None}


def _azure_key(file: Path) -> dict[str, Any]:
    return {"access_key": _content(file).strip()}


def _content(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(_LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> UsageError:
    why = error.strerror if isinstance(error, OSError) else "is not text"
    return UsageError(f"the credentials of the object store cannot be read: {file}: {why}")
