"""Real file servers for the acceptance tests: nginx with ``secure_link``, ``rclone serve http``.

Each serves a folder of the simulator's exported files on 127.0.0.1, keeps all of its own in a
folder that it is given, and is ended by the process id that it was started with.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from user import wait_until

from fleet_demo.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECRET = "what-nginx-and-the-service-share"

_NGINX_CONF = """
daemon off;
master_process off;
pid {home}/pid;
error_log {home}/error.log;
events {{}}
http {{
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    default_type application/octet-stream;
    log_format told '$status $body_bytes_sent $uri "$http_range" "$http_if_range"';
    access_log {home}/access.log told;
    {servers}
}}
"""

_LINKS = """
    server {{
        listen 127.0.0.1:{port};
        location / {{
            root {files};
            secure_link $arg_md5,$arg_expires;
            secure_link_md5 "$secure_link_expires$uri {secret}";
            if ($secure_link = "") {{ return 403; }}
            if ($secure_link = "0") {{ return {lapsed}; }}
            if (-f {home}/throttled) {{ set $limit_rate {rate}; }}
        }}
    }}
"""


def program(name: str, *places: Path) -> str:
    """A server's program, in one of the places or on the path; without it the test is skipped.

    In CI it must be there: a test that is always skipped tests nothing.
    """
    found = next((str(p / name) for p in places if (p / name).exists()), shutil.which(name))
    if found is not None:
        return found
    why = f"{name} is not on this machine, and this test runs the program against it"
    if os.environ.get("CI"):
        pytest.fail(f"{why}; CI has to install it")
    pytest.skip(why)


class _Server:
    """A process that serves, while it is entered."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir()
        self._said = home / "said"
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self, command: Sequence[str | Path], answers: Callable[[], bool]) -> None:
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        try:
            wait_until(lambda: answers() or self._ended())
            assert not self._ended(), self.said
        except BaseException:
            self.__exit__()
            raise

    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    @property
    def said(self) -> str:
        """What it said on its standard streams."""
        return self._said.read_text(encoding="utf-8", errors="replace")

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            finally:
                self._process.kill()


@dataclass(frozen=True)
class Logged:
    """A line of nginx's access log, written when the answer has ended."""

    status: int
    sent: int
    """Bytes of the body that were sent."""
    path: str
    range: str
    if_range: str


class PlainNginx(_Server):
    """Debian's nginx with some servers, as its ``http`` block holds them."""

    def __init__(self, home: Path, servers: str, port: int) -> None:
        super().__init__(home)
        self._program = program("nginx", Path("/usr/sbin"), Path("/usr/local/sbin"))
        self._port = port
        self._conf = home / "nginx.conf"
        self._conf.write_text(_NGINX_CONF.format(home=home, servers=servers))

    def __enter__(self) -> Self:
        error_log = self.home / "error.log"
        self._start([self._program, "-c", self._conf, "-e", error_log, "-p", self.home], self._open)
        return self

    def _open(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


class Nginx(PlainNginx):
    """Debian's nginx in front of ``files``, with links as its own module checks them.

    ``lapsed``: the status of a link that is too old. ``rate``: bytes a second for each answer,
    while it is ``throttled``.
    """

    def __init__(self, home: Path, files: Path, *, lapsed: int = 410, rate: int = 1 << 20) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        told = {"lapsed": lapsed, "rate": rate, "secret": SECRET}
        super().__init__(home, _LINKS.format(home=home, files=files, port=port, **told), port)

    def throttle(self) -> None:
        """Answer no faster than ``rate`` from now on."""
        (self.home / "throttled").touch()

    def let_go(self) -> None:
        """Answer as fast as it goes from now on."""
        (self.home / "throttled").unlink()

    @property
    def log(self) -> list[Logged]:
        """What was answered so far."""
        lines = (self.home / "access.log").read_text().splitlines()
        found = [re.fullmatch(r'(\d+) (\d+) (\S+) "(.*?)" "(.*)"', line) for line in lines]
        return [
            Logged(int(it[1]), int(it[2]), it[3], _said(it[4]), _said(it[5]))
            for it in found
            if it is not None
        ]


def _said(header: str) -> str:
    """A header as it was; nginx writes ``-`` for none, and quotes as ``\\x22``."""
    return "" if header == "-" else header.replace("\\x22", '"')


class Rclone(_Server):
    """``rclone serve http``: no ETag, plain links. ``limit``: bytes a second, over all answers."""

    def __init__(self, home: Path, files: Path) -> None:
        super().__init__(home)
        self._program = program("rclone", Path(sys.executable).parent)
        self._files = files
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.limit = ""

    def __enter__(self) -> Self:
        limit = ["--bwlimit", self.limit] if self.limit else []
        own = ["--config", self.home / "rclone.conf", "--cache-dir", self.home / "cache"]
        address = ["--addr", f"127.0.0.1:{self._port}"]
        command = [self._program, "serve", "http", self._files, *address, *own, *limit, "-vv"]
        self._start(command, lambda: "HTTP Server started on" in self.said)
        return self

    @property
    def offsets(self) -> list[int]:
        """Where the ranges began that it was asked for."""
        return [int(found) for found in re.findall(r"seek from \d+ to (\d+)", self.said)]
