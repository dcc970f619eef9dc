"""Debian's nginx on loopback: files and the service's answers, plain and TLS, counted by itself."""

from __future__ import annotations

import getpass
import re
import socket
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOST = "127.0.0.1"
_PATIENCE = 20.0

_CONF = """
daemon off;
{user}
worker_processes 2;
pid "{home}/pid";
error_log "{home}/error.log";
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path "{home}/body";
    proxy_temp_path "{home}/proxy";
    fastcgi_temp_path "{home}/fastcgi";
    uwsgi_temp_path "{home}/uwsgi";
    scgi_temp_path "{home}/scgi";
    types {{}}
    default_type application/octet-stream;
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 60;
    keepalive_requests 10000000;
    ssl_certificate "{home}/server.pem";
    ssl_certificate_key "{home}/server.key";
    ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen {host}:{port};
        listen {host}:{tls_port} ssl;
        root "{served}";
        location = /requests {{ stub_status; }}
        location /files/ {{ autoindex on; }}
        location ~ ^/repos/(.+)/cicd/runs$ {{
            default_type application/json;
            try_files /api/$1/page$arg_page_token.json =404;
        }}
        location ~ ^/repos/(.+)/cicd/runs/([0-9]+)$ {{
            default_type application/json;
            try_files /api/$1/$2.json =404;
        }}
    }}
}}
"""


class Nginx:
    """nginx over the folder ``served``, while it is entered. ``home`` takes what is its own."""

    def __init__(self, program: str, home: Path, served: Path) -> None:
        self._program = program
        self._home = home
        self._port, self._tls_port = free_port(), free_port()
        self.url = f"http://{HOST}:{self._port}"
        self.tls_url = f"https://{HOST}:{self._tls_port}"
        self.ca = home / "ca.pem"
        self._conf = home / "nginx.conf"
        user = "user root;" if getpass.getuser() == "root" else ""
        ports = {"host": HOST, "port": self._port, "tls_port": self._tls_port}
        self._conf.write_text(_CONF.format(home=home, served=served, user=user, **ports))

    def __enter__(self) -> Self:
        make_certificates(self._home)
        log = self._home / "error.log"
        command = (self._program, "-c", self._conf, "-e", log, "-p", self._home)
        self._process = start(command, lambda: is_open(self._port))
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._process)

    def requests(self) -> int:
        """How many requests were answered so far; asking is one, too."""
        return int(re.findall(r"\d+", ask(self._port, "/requests"))[3])


def free_port() -> int:
    """A port that nobody has this moment."""
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    command: Sequence[str | Path], answers: Callable[[], bool], stderr: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers. ``RuntimeError`` when it does not.

    In a session of its own: Ctrl-C is for us, who end it.
    """
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=nothing, stdout=nothing, stderr=stderr, start_new_session=True
    )
    try:
        _await(process, answers)
    except BaseException:
        stop(process)
        raise
    return process


def _await(process: subprocess.Popen[bytes], answers: Callable[[], bool]) -> None:
    latest = time.monotonic() + _PATIENCE
    while not answers():
        if process.poll() is not None or time.monotonic() > latest:
            raise RuntimeError(f"{process.args!r} does not answer")
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server; nginx ends its workers."""
    process.terminate()
    try:
        process.wait(timeout=10)
    finally:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    """Whether somebody listens."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex((HOST, port)) == 0


def ask(port: int, path: str) -> str:
    """The body of a small answer."""
    with closing(HTTPConnection(HOST, port, timeout=_PATIENCE)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def make_certificates(home: Path) -> None:
    """A throw-away authority (``ca.pem``), and ``server.pem`` that it has signed for loopback."""
    (home / "san").write_text(f"subjectAltName=IP:{HOST}\n")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    ca = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
    issue = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -extfile san"
    for arguments in (
        f"req -x509 {key} {ca} -subj /CN=bench-ca -days 7 -keyout ca.key -out ca.pem",
        f"req {key} -subj /CN={HOST} -keyout server.key -out server.csr",
        f"x509 -req -in server.csr {issue} -out server.pem",
    ):
        command = ["openssl", *arguments.split()]
        subprocess.run(command, cwd=home, check=True, capture_output=True)


class SlowServer:
    """``slow_server`` over the same folder, while it is entered."""

    def __init__(self, served: Path, delay: float) -> None:
        self._port = free_port()
        self.url = f"http://{HOST}:{self._port}"
        script = Path(__file__).with_name("slow_server.py")
        self._command = (sys.executable, script, served, str(self._port), str(delay))

    def __enter__(self) -> Self:
        self._process = start(self._command, lambda: is_open(self._port))
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._process)

    def requests(self) -> int:
        """How many requests were answered so far; asking is one, too."""
        return int(ask(self._port, "/requests"))
