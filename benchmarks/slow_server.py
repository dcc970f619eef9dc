"""A distant server: each answer comes after a delay, however many are asked for at once.

argv: the served folder, a port, seconds. ``/requests`` tells at once how many were answered.
"""

from __future__ import annotations

import asyncio
import re
import sys
from functools import cache
from pathlib import Path

_REQUEST = re.compile(rb"(GET|HEAD) (\S+) HTTP/1\.1\r\n", re.IGNORECASE)
_RUNS = re.compile(r"/repos/(.+)/cicd/runs(?:/(\d+))?")


class Folder:
    """What is served. It is held in memory, so that the delay is all that an answer takes."""

    def __init__(self, root: Path, delay: float) -> None:
        self._root = root
        self.delay = delay
        self.requests = 0
        self.read = cache(self._read)

    def _read(self, target: str) -> bytes | None:
        path = target.partition("?")[0]
        if runs := _RUNS.fullmatch(path):
            path = f"/api/{runs[1]}/{runs[2] or 'page'}.json"
        file = self._root / path.lstrip("/")
        return file.read_bytes() if file.is_file() else None


class Connection(asyncio.Protocol):
    """A connection that is kept for as many requests as come; they have no bodies."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._answer(head + b"\r\n")

    def _answer(self, head: bytes) -> None:
        request = _REQUEST.match(head)
        if request is None:
            self._transport.close()
            return
        self._folder.requests += 1
        if request[2] == b"/requests":
            self._send(str(self._folder.requests).encode())
        else:
            body = self._folder.read(request[2].decode())
            loop = asyncio.get_running_loop()
            loop.call_later(self._folder.delay, self._send, body, request[1] == b"HEAD")

    def _send(self, body: bytes | None, only_head: bool = False) -> None:  # noqa: FBT001, FBT002
        status = "404 Not Found" if body is None else "200 OK"
        content = body or b""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        self._transport.write(head if only_head else head + content)


async def main() -> None:
    """Serve until the process is ended."""
    root, port, delay = sys.argv[1:]
    folder = Folder(Path(root), float(delay))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(folder), "127.0.0.1", int(port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
