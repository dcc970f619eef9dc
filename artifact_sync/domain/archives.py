"""Values about archives: their formats, their limits, what was unpacked of one. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

UNPACKED = ".d"
"""Behind an archive's name: the folder into which it is unpacked."""

NO_ARCHIVE = "none"
"""What is noted of a file that was looked at and is no archive."""

TAR = "tar"
ZIP = "zip"
COMPRESSIONS = ("gzip", "bzip2", "xz", "zstd")
"""Of a tar, as in ``tar+gzip``, or of any other file."""

FOLDERS = frozenset({ZIP, TAR, *(f"{TAR}+{it}" for it in COMPRESSIONS)})
"""Formats of archives that hold a folder."""


class ExtractionState(StrEnum):
    """What has become of unpacking an archive."""

    PUBLISHING = "publishing"
    """What is in it is on record, and its folder is about to get its name."""
    HERE = "here"
    """Unpacked into its folder."""
    REFUSED = "refused"
    """It cannot be unpacked safely, or is damaged."""
    FAILED = "failed"
    """It could not be unpacked: the disk was full, or failed. The next pass tries again."""


class ExtractLimits(Struct, frozen=True):
    """How much may come of one archive."""

    entries: int
    bytes: int
    ratio: int
    """Bytes out for one in."""

    @property
    def terms(self) -> str:
        """Changes when what was refused is worth another try."""
        return f"{self.entries}/{self.bytes}/{self.ratio}"


class UnpackedEntry(NamedTuple):
    """What an archive holds: a file, a symbolic link, or an empty folder."""

    path: str
    """Below the archive's folder; empty: that folder itself."""
    size: int = 0
    sha256: str = ""
    """Hex, of a file's bytes, and of the bytes of the file that a link leads to."""
    target: str | None = None
    """Where a symbolic link points to; None: it is none."""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.target is None and bool(self.sha256)

    def below(self, folder: str) -> str:
        """Its path, where that of the archive's folder is this."""
        return f"{folder}/{self.path}" if self.path else folder


class Unpacked(NamedTuple):
    """What an archive held, and the name under which it waits in staging."""

    name: str
    """Empty: nothing was written."""
    entries: Sequence[UnpackedEntry]

    def extraction(self, sha256: str, limits: ExtractLimits) -> Extraction:
        """What has become of an archive so far."""
        files = [it for it in self.entries if it.is_file]
        size = sum(it.size for it in files)
        return Extraction(ExtractionState.PUBLISHING, sha256, limits.terms, len(files), size)


class Extraction(Struct, frozen=True):
    """What has become of unpacking one archive."""

    state: ExtractionState
    sha256: str
    """Of the archive that it is about; another one may have its place by now."""
    terms: str = ""
    """The limits then."""
    files: int = 0
    bytes: int = 0
    reason: str = ""
    message: str = ""
