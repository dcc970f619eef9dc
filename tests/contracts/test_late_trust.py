"""TLS whose authorities are read late: when, how often, and what is trusted before and after."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager

import httpx
import pytest
from scripted_server import serving

from artifact_sync.errors import ConfigError
from artifact_sync.source.late_trust import LateTrust
from artifact_sync.source.transport import TransportSettings, api_client, download_client
from artifact_sync.source.trust import trusted, trusting_nobody

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def answer(_request, writer) -> None:
    writer.write(ANSWER)


class Reading:
    """Reads the authorities of a bundle, and counts how often."""

    def __init__(self, ca_bundle) -> None:
        self.times = 0
        self._trust = trusted(ca_bundle)

    async def __call__(self, context: ssl.SSLContext) -> None:
        self.times += 1
        await asyncio.to_thread(self._trust.load_into, context)


@asynccontextmanager
async def service(certificate=None):
    """A server, over TLS where there is a certificate; its origin."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.with_suffix(".crt"), certificate)
    async with serving(answer, context) as server:
        yield server.origin if context is None else server.origin.replace("http:", "https:")


@pytest.mark.parametrize("made", [api_client, download_client])
def test_the_authorities_are_read_once_before_tls_is_spoken(certificate, made) -> None:
    reading = Reading(certificate.with_suffix(".crt"))

    async def main() -> list[int]:
        late = LateTrust(reading)
        settings = TransportSettings("http://127.0.0.1")
        async with (
            service(certificate) as origin,
            made(settings, late.context, late.before) as client,
        ):
            found = await asyncio.gather(*(client.get(origin) for _ in range(4)))
        return [it.status_code for it in found]

    assert asyncio.run(main()) == [200] * 4
    assert reading.times == 1


def test_in_the_clear_they_are_not_read() -> None:
    reading = Reading(None)

    async def main() -> int:
        late = LateTrust(reading)
        async with service() as origin:
            settings = TransportSettings(origin)
            async with api_client(settings, late.context, late.before) as client:
                return (await client.get("/")).status_code

    assert asyncio.run(main()) == 200
    assert reading.times == 0


def test_who_does_not_read_them_trusts_nobody(certificate) -> None:
    async def main() -> None:
        async with service(certificate) as origin:
            late = LateTrust(Reading(certificate.with_suffix(".crt")))
            async with download_client(TransportSettings(origin), late.context) as client:
                await client.get(origin)

    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        asyncio.run(main())


def test_a_certificate_of_somebody_elses_is_refused(certificate) -> None:
    async def main() -> None:
        late = LateTrust(Reading(None))
        async with service(certificate) as origin:
            settings = TransportSettings("http://127.0.0.1")
            async with download_client(settings, late.context, late.before) as client:
                await client.get(origin)

    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        asyncio.run(main())


def test_read_late_or_at_once_it_is_the_same_trust() -> None:
    late, trust = trusting_nobody(), trusted(None)
    assert late.cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}
    trust.load_into(late)
    usual = ssl.create_default_context(cafile=trust.file)
    for made in (late, trust.context()):
        assert sorted(made.get_ca_certs(binary_form=True)) == sorted(
            usual.get_ca_certs(binary_form=True)
        )
        kept = (made.verify_mode, made.check_hostname, made.verify_flags, made.options)
        assert kept == (ssl.CERT_REQUIRED, True, usual.verify_flags, usual.options)


def test_a_bundle_that_cannot_be_read_is_told_by_the_first_that_needs_it(tmp_path) -> None:
    async def main() -> None:
        await LateTrust(Reading(tmp_path / "none.pem")).load()

    with pytest.raises(ConfigError, match="No such file"):
        asyncio.run(main())
