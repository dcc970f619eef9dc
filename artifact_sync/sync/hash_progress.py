"""Counts files that are hashed, and how many there are to hash."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class HashProgress:
    """Files and bytes that were hashed, of those that are known so far."""

    files: int = 0
    size: int = 0
    """Bytes, as they are on record."""
    of_files: int = 0
    of_size: int = 0

    def expect(self, files: int, size: int) -> None:
        """So many more are to be hashed."""
        self.of_files += files
        self.of_size += size

    def count(self, size: int | None) -> None:
        """A file was hashed, or needs not be."""
        self.files += 1
        self.size += size or 0
