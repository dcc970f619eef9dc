"""Decompressors of one shape, of Python's own libraries and of zstd's. Pure.

A stream that is damaged or cut is an error, and is never passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Any

_MEMORY = 2**28
"""Bytes of memory that xz may ask for; ``xz -9`` asks for a quarter of it."""

_CHECKS = frozenset({0, 1, 4, 10})
"""Checksums that liblzma knows: none, CRC-32, CRC-64, SHA-256."""


class DamagedStream(Exception):
    """Compressed bytes that cannot be unpacked; ``str()`` says why."""


class NoDecompressor(Exception):
    """The library for it is not installed; ``str()`` says what to install."""


class Decompressor(Protocol):
    """Unpacks one stream, or one member or frame of it."""

    @property
    def eof(self) -> bool:
        """Whether its end was reached, and its checksums were right."""

    @property
    def needs_input(self) -> bool:
        """Whether it gives nothing more without more bytes."""

    @property
    def unused_data(self) -> bytes:
        """What came behind its end."""

    def decompress(self, data: bytes, most: int, /) -> bytes:
        """Take some more, and give back at most so many bytes. ``DamagedStream``."""


def decompressor(name: str) -> Decompressor:
    """A fresh one. ``NoDecompressor``."""
    if name == "gzip":
        return _Zlib(31)
    if name == "deflate":
        return _Zlib(-15)
    return _Guarded(*_MAKERS[name]())


class _Zlib:
    """zlib's, which hands back what it has not used."""

    def __init__(self, window: int) -> None:
        import zlib  # noqa: PLC0415 - most passes unpack nothing

        self._zlib = zlib.decompressobj(window)
        self._error = zlib.error
        self._left = b""
        self._may_have_more = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not (self._left or self._may_have_more)

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, most: int, /) -> bytes:
        try:
            found = self._zlib.decompress(self._left + data, most)
        except self._error as error:
            raise DamagedStream(_words(error)) from error
        self._left = self._zlib.unconsumed_tail
        self._may_have_more = len(found) == most
        return found


class _Guarded:
    """One of ``bz2``, ``lzma`` or ``zstd``, whose errors are ours."""

    def __init__(self, inner: Any, errors: type[Exception]) -> None:
        self._inner = inner
        self._errors = errors

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def needs_input(self) -> bool:
        return bool(self._inner.needs_input)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    def decompress(self, data: bytes, most: int, /) -> bytes:
        try:
            found: bytes = self._inner.decompress(data, most)
        except self._errors as error:
            raise DamagedStream(_words(error)) from error
        except (EOFError, ValueError, MemoryError) as error:
            raise DamagedStream(_words(error)) from error
        if getattr(self._inner, "check", 0) not in _CHECKS and self.eof:
            raise DamagedStream("it has a checksum of a kind that nobody knows")
        return found


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _bzip2() -> tuple[Any, type[Exception]]:
    import bz2  # noqa: PLC0415 - most passes unpack nothing

    return bz2.BZ2Decompressor(), OSError


def _xz() -> tuple[Any, type[Exception]]:
    import lzma  # noqa: PLC0415 - likewise

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY), lzma.LZMAError


def _zstd() -> tuple[Any, type[Exception]]:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError:
        try:
            from backports import zstd  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
        except ImportError:
            raise NoDecompressor("install backports.zstd (pip install backports.zstd)") from None
    return zstd.ZstdDecompressor(), zstd.ZstdError


_MAKERS = {"bzip2": _bzip2, "xz": _xz, "zstd": _zstd}
