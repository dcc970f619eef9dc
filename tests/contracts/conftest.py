from __future__ import annotations

import asyncio
import shutil
import subprocess

import pytest

from artifact_sync.ledger import open_ledger


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A key for 127.0.0.1, with its self-signed certificate beside it as ``.crt``."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    return _made(tmp_path_factory.mktemp("tls"), "FALSE")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """The same, but it calls itself an authority, as ``openssl req -x509`` makes them."""
    return _made(tmp_path_factory.mktemp("tls"), "TRUE")


def _made(folder, ca):
    key = folder / "server.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", key, "-out", key.with_suffix(".crt"), "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", f"basicConstraints=critical,CA:{ca}"),
        ],
        check=True,
        capture_output=True,
    )
    return key


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    """The machine's own proxies are none of a test's business."""
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def with_ledger(request, tmp_path):
    """Runs a story with a fresh ledger, on every database."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").ledger()

    def run(story):
        async def main():
            async with await open_ledger(url, durability="fast") as ledger:
                await story(ledger)

        asyncio.run(main())

    return run
