"""Calls of an object store, by key. Blocking; from many threads."""

from __future__ import annotations

import time
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from msgspec import Struct

from artifact_sync.mirror.names import quoted
from artifact_sync.mirror.objects.store_errors import Passing, store_errors
from artifact_sync.runtime.backoff import RetryPolicy, delay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from obstore.store import ObjectStore

T = TypeVar("T")

SHA256 = "sha256"
"""The name of an object's metadata that has its SHA-256, in hex."""

PART = 8 << 20
"""Bytes that are sent at once: a small object, or a part of a large one."""

_MOST_PARTS = 9_000
_PARTS_AT_ONCE = 2
_BLOCK = 1 << 20
_PAGE = 1000
_RETRIES = RetryPolicy(attempts=4, base=0.4, cap=5.0)


class Held(Struct, frozen=True):
    """What a store says of an object."""

    key: str
    size: int
    changed: float
    """Seconds, as ``datetime.timestamp``."""
    e_tag: str | None
    version: str | None
    sha256: str = ""
    """What came with it; empty: nothing, or it was only listed."""

    @property
    def condition(self) -> dict[str, str]:
        """What a call names, to be done with this version alone."""
        named = {"e_tag": self.e_tag, "version": self.version}
        return {name: value for name, value in named.items() if value is not None}


class Bucket:
    """A store of keys. ``url``: for messages, without secrets."""

    def __init__(self, store: ObjectStore, url: str) -> None:
        self._store: Any = store
        self.url = url
        self._rng = Random()  # noqa: S311 - jitter

    def head(self, key: str) -> Held | None:
        """Look at an object; None: there is none."""
        try:
            found = self._tried(key, lambda: obstore.get(self._store, key, options={"head": True}))
        except FileNotFoundError:
            return None
        return _held(found.meta, found.attributes.get(SHA256, ""))

    def read(self, key: str) -> bytes | None:
        """The whole of a small object; None: there is none."""
        try:
            return self._tried(key, lambda: bytes(obstore.get(self._store, key).bytes()))
        except FileNotFoundError:
            return None

    def blocks(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, piece by piece. ``FileNotFoundError``."""
        opened = self._tried(key, lambda: obstore.get(self._store, key))
        stream, end = opened.stream(_BLOCK), b""
        while (block := self._once(key, lambda: next(stream, end))) != end:
            for at in range(0, len(block), _BLOCK):
                yield block[at : at + _BLOCK]

    def part(self, key: str, at: int, count: int) -> bytes:
        """Some bytes of an object. ``FileNotFoundError``."""
        return self._tried(
            key, lambda: bytes(obstore.get_range(self._store, key, start=at, length=count))
        )

    def put(self, key: str, content: bytes, sha256: str, over: Held | str = "overwrite") -> None:
        """Write an object by one request.

        ``over``: ``create``, ``overwrite``, or the version that it is to replace. ``Conflict``.
        """
        mode: Any = over if isinstance(over, str) else over.condition
        write = partial(obstore.put, self._store, key, content, use_multipart=False)
        self._tried(key, lambda: write(mode=mode, attributes={SHA256: sha256}))

    def upload(self, key: str, blocks: Callable[[], Iterator[bytes]], size: int, sha: str) -> None:
        """Write a large object by parts, two of them in memory at a time.

        What ``blocks`` raises leaves no object. No condition goes with it.
        """
        part = max(PART, -(-size // _MOST_PARTS))
        write = partial(obstore.put, self._store, key, use_multipart=True, chunk_size=part)
        write = partial(write, attributes={SHA256: sha}, max_concurrency=_PARTS_AT_ONCE)
        self._tried(key, lambda: write(blocks()))

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store. ``FileNotFoundError``."""
        self._tried(source, lambda: obstore.copy(self._store, source, target))

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, many by one request where the store can; absent ones are fine."""
        if not keys:
            return
        try:
            self._tried(keys[0], lambda: obstore.delete(self._store, list(keys)))
        except FileNotFoundError:  # of GCS and Azure, which then may have left others
            for key in keys:
                self._delete_one(key)

    def _delete_one(self, key: str) -> None:
        try:
            self._tried(key, lambda: obstore.delete(self._store, key))
        except FileNotFoundError:
            return

    def list(self, folder: str) -> Iterator[Held]:
        """All objects below a folder, ordered by key; empty: of the whole bucket."""
        pages = obstore.list(self._store, folder or None, chunk_size=_PAGE)
        while (page := self._once(folder, lambda: next(pages, None))) is not None:
            yield from (_held(it, "") for it in page if not it["path"].endswith("/"))

    def _once(self, key: str, call: Callable[[], T]) -> T:
        try:
            with store_errors(self.url, quoted(key)):
                return call()
        except Passing as passing:
            raise passing.error from None

    def _tried(self, key: str, call: Callable[[], T]) -> T:
        """Call, and again where the trouble may pass."""
        failures = 0
        while True:
            try:
                with store_errors(self.url, quoted(key)):
                    return call()
            except Passing as passing:
                failures += 1
                pause = delay(_RETRIES, failures, None, self._rng)
                if pause is None:
                    raise passing.error from None
            time.sleep(pause)


def _held(meta: Any, sha256: str) -> Held:
    changed = meta["last_modified"].timestamp()
    return Held(meta["path"], meta["size"], changed, meta["e_tag"], meta["version"], sha256)
