"""A server made of bare sockets: it can lie at every level of HTTP. What it says is not here.

One thread a connection. Whoever makes a server passes the function that answers a request; what
stands on the wire afterwards is that function's business alone, byte for byte.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl

Headers = Iterable[tuple[str, str]]

_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came: the target is the raw text of the request line."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    """Names in lower case, in order, repeats included."""
    monotonic: float = field(default_factory=time.monotonic)
    wall: float = field(default_factory=time.time)

    @property
    def path(self) -> str:
        """The target without its query, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def header(self, name: str) -> str | None:
        """The first field of that name."""
        return next((value for field_name, value in self.fields if field_name == name), None)


class Wire:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self._connection = connection
        self._closing = closing
        self.meter: Callable[[int], None] = lambda _: None
        """Told of every count of body bytes that was handed over."""
        self.open = True
        """Whether another request may follow on this connection."""

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def head(self, status: int, headers: Headers = (), reason: str = "Because") -> None:
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def body(self, data: bytes, pace: float = 0) -> None:
        """Send body bytes; with a pace, so many bytes a second at most, in blocks of 64 KiB."""
        for start in range(0, len(data), _BLOCK):
            block = data[start : start + _BLOCK]
            self.meter(len(block))  # before: who has got it may ask at once how much there was
            self.raw(block)
            if pace:
                self.wait(len(block) / pace)

    def chunk(self, data: bytes) -> None:
        """Send one chunk of the chunked transfer coding; an empty one is the last."""
        self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.meter(len(data))

    def wait(self, seconds: float) -> None:
        """Do nothing for so long, or until the server is closed."""
        self._closing.wait(seconds)

    def end(self) -> None:
        """End the connection in good order (FIN) after this answer, complete or not."""
        self.open = False

    def reset(self) -> None:
        """Break the connection (RST)."""
        self.open = False
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


Answer = Callable[[Request, Wire], None]


class HostileServer:
    """Listens on a free port of 127.0.0.1 and answers as it is told."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._requests: list[Request] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order of their arrival."""
        with self._lock:
            return list(self._requests)

    def forget(self) -> None:
        """Begin the record of requests anew."""
        with self._lock:
            self._requests.clear()

    def close(self) -> None:
        """End all connections and threads. May be called twice."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            with self._lock:
                self._threads = [old for old in self._threads if old.is_alive()]
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), self._secured(plain) as connection:
            with self._lock:
                self._connections.add(connection)
            try:
                self._converse(connection)
            finally:
                with self._lock:
                    self._connections.discard(connection)

    @contextlib.contextmanager
    def _secured(self, plain: socket.socket) -> Iterator[socket.socket]:
        with plain:
            plain.settimeout(30)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BLOCK)
            if self._tls is None:
                yield plain
                return
            with self._tls.wrap_socket(plain, server_side=True) as connection:
                yield connection

    def _converse(self, connection: socket.socket) -> None:
        wire = Wire(connection, self._closing)
        with connection.makefile("rb") as incoming:
            while wire.open and not self._closing.is_set():
                request = _read(incoming)
                if request is None:
                    return
                with self._lock:
                    self._requests.append(request)
                self._answer(request, wire)


def _read(incoming: Iterable[bytes]) -> Request | None:
    """The next request, or None at the end of the connection. Requests here have no body."""
    lines = []
    for line in incoming:
        if line in {b"\r\n", b"\n"}:
            break
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    if not lines:
        return None
    method, target, _ = lines[0].split(" ", 2)
    fields = (line.partition(":") for line in lines[1:])
    return Request(method, target, tuple((name.lower(), text.strip()) for name, _, text in fields))
