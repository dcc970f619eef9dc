"""Object stores that the tests start: moto, ministack and rclone, each once for a session."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
import pytest
from object_proxy import Asked, ObjectProxy

from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.objects.object_mirror import ObjectMirror
from artifact_sync.mirror.objects.open_bucket import StoreTerms, open_bucket
from fleet_demo.servers import BUCKET, free_port, make_bucket, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = {
    "AWS_ACCESS_KEY_ID": "mirrorkeymirrorkey12",
    "AWS_SECRET_ACCESS_KEY": "mirrorsecretmirrorsecret",
    "AWS_DEFAULT_REGION": "us-east-1",
}
_PROGRAMS = Path(sys.executable).parent


@dataclass
class ObjectServer:
    """A store that runs, or memory."""

    endpoint: str | None
    process: subprocess.Popen[bytes] | None = None
    silence: float = 60.0
    """Seconds after which the program gives an answer up."""
    proxy: ObjectProxy | None = None
    behind: ObjectServer | None = None

    def environ(self) -> Mapping[str, str]:
        """What the program needs to find it."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.endpoint} if self.endpoint else {}

    def url(self, prefix: str) -> str:
        return f"s3://{BUCKET}/{prefix}" if self.endpoint else f"memory://{BUCKET}/{prefix}"

    def mirror(self, prefix: str, **options) -> ObjectMirror:
        limits = {"silence": self.silence, "slowest": 1e9, "patience": 15.0}
        terms = StoreTerms(self.endpoint, **limits, pause=0.01)
        bucket, below = open_bucket(self.url(prefix), terms, os.environ)
        return ObjectMirror(bucket, below, Layout(DEFAULT_LAYOUT), **options)

    def objects(self, prefix: str) -> dict[str, bytes]:
        """What is below a prefix, by the rest of its key."""
        bucket, below = open_bucket(self.url(prefix), StoreTerms(self.endpoint), os.environ)
        keys = [held.key for held in bucket.list(below)]
        return {key[len(below) + 1 :]: bucket.read(key) or b"" for key in keys}

    def write(self, prefix: str, path: str, content: bytes, sha256: str = "") -> None:
        """Write an object as a stranger does, with a word of its SHA-256 or without."""
        bucket, below = open_bucket(self.url(prefix), StoreTerms(self.endpoint), os.environ)
        said = {"sha256": sha256} if sha256 else {}
        obstore.put(bucket._store, f"{below}/{path}", content, attributes=said)

    def remove(self, prefix: str, path: str) -> None:
        bucket, below = open_bucket(self.url(prefix), StoreTerms(self.endpoint), os.environ)
        bucket.delete([f"{below}/{path}"])

    def stop(self) -> None:
        if self.proxy is not None and self.behind is not None:
            self.proxy.stop()
            self.behind.stop()
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def memory(_: Path) -> ObjectServer:
    return ObjectServer(None)


def moto(_: Path) -> ObjectServer:
    port = free_port()
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return _begun(argv, port, {})


def ministack(folder: Path) -> ObjectServer:
    port = free_port()
    environ = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "s3"}
    return _begun([str(_PROGRAMS / "ministack")], port, {**environ, "HOME": str(folder)})


def rclone(folder: Path) -> ObjectServer:
    port = free_port()
    (folder / BUCKET).mkdir(parents=True)
    key = f"{KEYS['AWS_ACCESS_KEY_ID']},{KEYS['AWS_SECRET_ACCESS_KEY']}"
    argv = [str(_PROGRAMS / "rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    return _begun([*argv, "--auth-key", key, "--vfs-cache-mode", "off", str(folder)], port, {})


_HARM = (
    *(None, "503", None, "cut", None, "429", None, "corrupt", None, "409", None, "lost"),
    *(None, "500", None, "412"),
)
_STALLS_EVERY = 397
_THREADS = 8
"""That work on one mirror at once, at most."""


def harmful(folder: Path) -> ObjectServer:
    """Moto behind a proxy that spoils every other request, and now and then says nothing.

    Never one request twice in a row: whoever asks again is to come through. Threads that ask for
    the same at once could take that from one another: for what they all read, each is counted.
    """
    behind, turn = moto(folder), count()
    let_through: Counter[tuple[str, str]] = Counter()

    def harm(asked: Asked) -> str | None:
        number, request = next(turn), (asked.method, asked.path)
        if let_through[request] > 0:
            let_through[request] -= 1
            return None
        wanted = _HARM[number % len(_HARM)]
        is_conditional = {"if-match", "if-none-match"} & asked.headers.keys()
        if wanted in {"409", "412"} and not is_conditional:
            wanted = None
        if number % _STALLS_EVERY == 0:
            wanted = "stall"
        if wanted is not None:
            let_through[request] = _THREADS if asked.path.endswith("/.artifact-sync/id") else 1
        return wanted

    proxy = ObjectProxy(behind.endpoint or "", harm)
    return ObjectServer(proxy.endpoint, silence=4.0, proxy=proxy, behind=behind)


SERVERS = {
    "memory": memory,
    "moto": moto,
    "ministack": ministack,
    "rclone": rclone,
    "harmful": harmful,
}
"""Every kind of object store at hand."""


def on_its_server(kind: str) -> object:
    """A parameter whose tests go to the same worker: one server of a kind for all."""
    name = f"objects-{kind}"
    return pytest.param(name, marks=pytest.mark.xdist_group(name))


def _begun(argv: list[str], port: int, environ: Mapping[str, str]) -> ObjectServer:
    process = subprocess.Popen(
        argv,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = ObjectServer(f"http://127.0.0.1:{port}", process)
    try:
        wait_for_port(port)
        make_bucket(port)
    except BaseException:
        server.stop()
        raise
    return server
