"""The floor: what downloading with SHA-256 costs in plain Python. No retry, no resume, no ledger.

argv: the URL of the folder, a file with the names in it, a CA's file for https, and ``fsync`` to
have each file synced before its name is made. Writes into the working directory: each file under
another name first, and ``SHA256SUMS`` in the end.
"""

import hashlib
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS = 16
_BUFFER = 1 << 18


class Loop:
    """The files, and who fetches them."""

    def __init__(self, url: str, names: list[str], ca: str, *, fsync: bool) -> None:
        scheme, _, rest = url.partition("://")
        self._host, _, path = rest.partition("/")
        self._path = f"/{path}/"
        self._ca = ca if scheme == "https" else ""
        self._fsync = fsync
        self._names: Iterator[str] = iter(names)
        self._lock = threading.Lock()
        self.sums: dict[str, str] = {}

    def _next(self) -> str | None:
        with self._lock:
            return next(self._names, None)

    def work(self) -> None:
        """Fetch one file after the other over one connection."""
        buffer = memoryview(bytearray(_BUFFER))
        with self._connect() as connection:
            while (name := self._next()) is not None:
                self.sums[name] = self._fetch(connection, name, buffer)

    def _connect(self) -> socket.socket:
        host, _, port = self._host.partition(":")
        plain = socket.create_connection((host, int(port)))
        if not self._ca:
            return plain
        import ssl  # noqa: PLC0415 - costs memory, which plain http need not pay

        return ssl.create_default_context(cafile=self._ca).wrap_socket(plain, server_hostname=host)

    def _fetch(self, connection: socket.socket, name: str, buffer: memoryview) -> str:
        ask = f"GET {self._path}{name} HTTP/1.1\r\nHost: {self._host}\r\n\r\n"
        connection.sendall(ask.encode())
        head, body = _head(connection)
        left = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]) - len(body)
        digest = hashlib.sha256(body)
        with open(f".{name}", "wb", buffering=0) as file:  # noqa: PTH123 - the floor
            file.write(body)
            while left:
                got = connection.recv_into(buffer, min(left, _BUFFER))
                if not got:
                    raise ConnectionError(f"{name} was cut")
                file.write(buffer[:got])
                digest.update(buffer[:got])
                left -= got
            if self._fsync:
                os.fsync(file.fileno())
        os.rename(f".{name}", name)  # noqa: PTH104 - the floor
        return digest.hexdigest()


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """The header, in lower case, and what has come of the body."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = connection.recv(_BUFFER)
        if not more:
            raise ConnectionError("no answer")
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    if b" 200 " not in head[:16]:
        raise ConnectionError(head[:40])
    return head.lower() + b"\r\n", body


def main() -> None:
    """Fetch all, then write the manifest."""
    url, listed, ca, *fsync = sys.argv[1:]
    with open(listed, encoding="utf-8") as file:  # noqa: PTH123 - the floor
        names = file.read().split()
    loop = Loop(url, names, ca, fsync=fsync == ["fsync"])
    threads = [threading.Thread(target=loop.work) for _ in names[:CONNECTIONS]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open("SHA256SUMS", "w", encoding="utf-8") as file:  # noqa: PTH123 - the floor
        file.writelines(f"{digest}  {name}\n" for name, digest in sorted(loop.sums.items()))


if __name__ == "__main__":
    main()
