"""The fixtures of the hostile trials."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hostile_service import Service
from keeper import APP, LOG, Keeper
from trial import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def trial(service: Service, tmp_path: Path) -> Iterator[Trial]:
    guarded = tmp_path / "guarded"
    guarded.mkdir()
    with closing(Trial(service, guarded)) as trial:
        yield trial


@pytest.fixture
def keeper(trial: Trial) -> Keeper:
    """A complete mirror of two runs with two files each."""
    for run in ("1", "2"):
        trial.service.run({"app.bin": APP + run.encode(), "build.log": LOG + run.encode()}, run)
    keeper = Keeper(trial)
    assert keeper.sync()[0] == 0
    return keeper


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine: no certificate can be made")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=trial"
    names = "-addext subjectAltName=IP:127.0.0.1,DNS:localhost -addext basicConstraints=CA:TRUE"
    names += " -addext keyUsage=critical,digitalSignature,keyCertSign"
    files = ["-keyout", str(path), "-out", str(path) + ".crt"]
    subprocess.run(
        ["openssl", *request.split(), *names.split(), *files], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """A server's side of TLS with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def secure_service(tls: ssl.SSLContext) -> Iterator[Service]:
    """The same service with its files behind TLS."""
    with Service(tls) as service:
        yield service


@pytest.fixture
def secure_trial(secure_service: Service, tmp_path: Path, certificate: Path) -> Iterator[Trial]:
    guarded = tmp_path / "guarded"
    guarded.mkdir()
    settings = {"SOURCE__CA_BUNDLE": f"{certificate}.crt"}
    with closing(Trial(secure_service, guarded, settings)) as trial:
        yield trial
