"""Calls of an object store, by key. Blocking; from many threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from msgspec import Struct

from artifact_sync.mirror.fence import nobody_else
from artifact_sync.mirror.names import quoted
from artifact_sync.mirror.objects.calls import PATIENCE, Calls
from artifact_sync.mirror.objects.store_errors import Conflict
from artifact_sync.mirror.objects.tries import Tries
from artifact_sync.runtime.backoff import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from obstore.store import ObjectStore

    from artifact_sync.mirror.fence import Fence

T = TypeVar("T")

SHA256 = "sha256"
"""The name of an object's metadata that has its SHA-256, in hex."""

PART = 8 << 20
"""Bytes that are sent at once: a small object, or a part of a large one."""

_MOST_PARTS = 9_000
_PARTS_AT_ONCE = 2
_BLOCK = 1 << 20
_PAGE = 1000
RETRIES = RetryPolicy(attempts=4, base=0.4, cap=5.0)


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

    def __init__(
        self,
        store: ObjectStore,
        url: str,
        retries: RetryPolicy = RETRIES,
        sending: ObjectStore | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """``sending``: the same store, more patient, for what is sent or copied there.

        ``patience``: see ``Calls``.
        """
        self._store: Any = store
        self._sending: Any = sending or store
        self._retries = retries
        self._call = Calls(url, patience)
        self.url = url
        self.fence: Fence = nobody_else
        """Its answer is asked before anything is changed."""

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
        """The bytes of an object, piece by piece, of one version.

        ``FileNotFoundError``; ``Conflict``: it was replaced meanwhile.
        """
        tries, sent = self._tries(key, conditional=True), 0
        options: Any = {}
        while True:
            with tries:
                opened = self._call(partial(obstore.get, self._store, key, options=options))
                options = {"if_match": opened.meta["e_tag"]}
                for block in self._call.each(opened.stream(_BLOCK)):
                    for at in range(0, len(block), _BLOCK):
                        yield block[at : at + _BLOCK]
                    sent += len(block)
                return
            options["range"] = {"offset": sent}

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
        write = partial(obstore.put, self._sending, key, content, use_multipart=False)
        work = partial(write, mode=mode, attributes={SHA256: sha256})
        self._changed(key, work, conditional=True)

    def upload(
        self,
        key: str,
        blocks: Callable[[], Iterator[bytes]],
        size: int,
        sha: str,
        over: Held | None,
    ) -> None:
        """Write a large object by parts, two of them in memory at a time.

        What ``blocks`` raises leaves no object. ``Conflict``: before the last part goes there is
        another version than ``over``. No condition goes with it.
        """
        held = self.fence()
        part = max(PART, -(-size // _MOST_PARTS))
        write = partial(obstore.put, self._sending, key, use_multipart=True, chunk_size=part)
        write = partial(write, attributes={SHA256: sha} if sha else {})
        write = partial(write, max_concurrency=_PARTS_AT_ONCE)

        def last_questions() -> None:
            there = self.head(key)
            if (there and there.condition) != (over and over.condition):
                raise Conflict
            held()

        def send() -> None:
            write(self._call.while_wanted(blocks(), last_questions))

        self._tried(key, send, conditional=True)

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store. ``FileNotFoundError``."""
        self._changed(source, lambda: obstore.copy(self._sending, source, target))

    def copy_by_parts(self, source: Held, target: str) -> None:
        """Copy an object of any size, through here, to where none is.

        ``FileNotFoundError``; ``Conflict``: it was replaced meanwhile.
        """
        self.upload(target, lambda: self.blocks(source.key), source.size, source.sha256, None)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, many by one request where the store can; absent ones are fine."""
        if not keys:
            return
        try:
            self._changed(keys[0], lambda: obstore.delete(self._store, list(keys)))
        except FileNotFoundError:  # of GCS and Azure, which then may have left others
            for key in keys:
                self._delete_one(key)

    def _delete_one(self, key: str) -> None:
        try:
            self._changed(key, lambda: obstore.delete(self._store, key))
        except FileNotFoundError:
            return

    def list(self, folder: str) -> Iterator[Held]:
        """All objects below a folder, ordered by key; empty: of the whole bucket."""
        tries, last = self._tries(folder, conditional=False), None
        while True:
            with tries:
                pages = obstore.list(self._store, folder or None, offset=last, chunk_size=_PAGE)
                for page in self._call.each(pages):
                    for it in page:
                        last = it["path"]
                        yield _held(it, "")
                return

    def _changed(self, key: str, call: Callable[[], T], *, conditional: bool = False) -> T:
        held = self.fence()

        def change() -> T:
            held()
            return call()

        return self._tried(key, change, conditional=conditional)

    def _tried(self, key: str, call: Callable[[], T], *, conditional: bool = False) -> T:
        """Call, and again where the trouble may pass."""
        tries = self._tries(key, conditional=conditional)
        while True:
            with tries:
                return self._call(call)

    def _tries(self, key: str, *, conditional: bool) -> Tries:
        return Tries(self.url, quoted(key), self._retries, conditional=conditional)


def _held(meta: Any, sha256: str) -> Held:
    changed = meta["last_modified"].timestamp()
    return Held(meta["path"], meta["size"], changed, meta["e_tag"], meta["version"], sha256)
