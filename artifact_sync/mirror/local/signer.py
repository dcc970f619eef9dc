"""Signs manifests, and checks their signatures, by programs that the user names.

A program works on a private copy in a folder of the system's temporary files. ``{file}`` in its
arguments is the copy's path; where it stands nowhere, the path is the last argument. The signature
is the file beside it, ``SHA256SUMS.sig``. The manifest is on its stdin, too.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import Unsigned, UsageError
from artifact_sync.mirror.manifest import SIGNATURE, SUMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from artifact_sync.runtime.command import CommandResult

FILE = "{file}"

LONGEST = 1024 * 1024
"""Bytes that a signature may have."""

_SECONDS = 60.0
_OURS = ("ARTIFACT_SYNC_", "SOURCECRAFT_")
_SECRETS = frozenset({"CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"})


class CommandSigner(Struct, frozen=True):
    """``domain.ports.ManifestSigner`` by programs. Blocking."""

    sign_command: Sequence[str] = ()
    verify_command: Sequence[str] = ()
    environ: Mapping[str, str] = {}
    """Ours; the programs get it without what is meant for us alone."""
    seconds: float = _SECONDS

    @property
    def signs(self) -> bool:
        """Whether there is a program that signs."""
        return bool(self.sign_command)

    def sign(self, content: bytes) -> bytes:
        """The signature of a ``SHA256SUMS``. ``Unsigned``."""
        with _private(content) as path:
            if why := self._run(self.sign_command, path, content).why:
                raise Unsigned(why)
            return _signature(path.with_name(SIGNATURE))

    def check(self, content: bytes, signature: bytes) -> str:
        """Why a signature is wrong; empty: it is right, or nothing checks it.

        Only a program that has ended by itself has judged it. ``UsageError`` where none has.
        """
        if not self.verify_command:
            return ""
        with _private(content) as path:
            path.with_name(SIGNATURE).write_bytes(signature)
            result = self._run(self.verify_command, path, content)
        if result.code is None:
            raise UsageError(f"mirror.verify_command {result.why}: no signature can be checked")
        return result.why

    def _run(self, words: Sequence[str], path: Path, content: bytes) -> CommandResult:
        from artifact_sync.runtime import command  # noqa: PLC0415 - seldom needed

        environ = {key: it for key, it in self.environ.items() if not _is_ours(key)}
        argv = arguments(words, str(path))
        program = shutil.which(argv[0])
        if program is None:
            why = f"cannot be started: there is no program {argv[0]!r}"
            return command.CommandResult(None, why)
        to_run = command.Command([program, *argv[1:]], environ, path.parent, self.seconds)
        return command.run_command(to_run, content)


def arguments(words: Sequence[str], path: str) -> list[str]:
    """A command's arguments, the file's path among them."""
    named = any(FILE in word for word in words)
    return [word.replace(FILE, path) for word in words] + ([] if named else [path])


def our_environment() -> Mapping[str, str]:
    """The environment that programs are started from."""
    return dict(os.environ)


def _is_ours(key: str) -> bool:
    return key.startswith(_OURS) or key in _SECRETS


@contextmanager
def _private(content: bytes) -> Iterator[Path]:
    """A copy of a ``SHA256SUMS`` in a folder of its own, for the owner alone."""
    with TemporaryDirectory(prefix="artifact-sync-") as folder:
        path = Path(folder) / SUMS
        path.write_bytes(content)
        yield path


def _signature(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
    except OSError:
        raise Unsigned(f"left no {SIGNATURE} beside the file") from None
    if not content or len(content) > LONGEST:
        raise Unsigned(f"left a {SIGNATURE} that is {'too long' if content else 'empty'}")
    return content
