"""Write the manifests of a run from the ledger; replace only what differs."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple, Protocol

from artifact_sync.domain.archives import UNPACKED
from artifact_sync.domain.errors import Unsigned
from artifact_sync.domain.model import MirrorPath
from artifact_sync.mirror.manifest import Manifest
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from artifact_sync.domain.archives import UnpackedEntry
    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RunKey, RunRow
    from artifact_sync.domain.ports import ArtifactStore, Ledger, ManifestSigner
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload


_log = get_logger(__name__)

_LONGEST_SIGNATURE = 1024 * 1024
"""Bytes; nothing longer is read."""


class ManifestPlace(Protocol):
    """What manifests are written with, and where."""

    @property
    def ledger(self) -> Ledger:
        """Knows the files."""

    @property
    def mirror(self) -> ArtifactStore:
        """Holds them."""

    @property
    def layout(self) -> Layout:
        """Knows the manifests' paths."""

    @property
    def offload(self) -> Offload:
        """Runs what blocks."""


class Written(NamedTuple):
    """Manifests that stand."""

    files: int
    """How many they name."""
    unsigned: str
    """Why there is no signature; empty: there is, or nobody wants one."""


async def write_manifests(
    place: ManifestPlace,
    run: RunKey,
    origin: str,
    changed: Mapping[ArtifactKey, ArtifactRow] | None = None,
    *,
    mends: bool = False,
) -> Written:
    """Write both manifests of a run from the ledger, signed where that is wanted.

    ``origin``: the service's host. ``changed``: what the ledger is about to say of artifacts.
    ``mends``: a signature that is wrong is made anew, too.
    """
    known = await place.ledger.run(run)
    if known is None:
        return Written(0, "")
    manifest = await manifest_of(known, place.ledger, place.layout, origin, changed)
    return Written(len(manifest), await _replace(place, run, manifest, mends=mends))


async def manifest_of(
    run: RunRow,
    ledger: Ledger,
    layout: Layout,
    origin: str,
    changed: Mapping[ArtifactKey, ArtifactRow] | None = None,
) -> Manifest:
    """Gather from the ledger what the manifests of a run say."""
    record, pin = await asyncio.gather(ledger.record(run.key), ledger.pinned(run.key))
    manifest = Manifest(run, layout.run_folder(run.key), origin, record, pin)
    async with aclosing(ledger.each_artifact(run.key)) as rows:
        async for known in rows:
            row = (changed or {}).get(known.key, known)
            manifest.add(row, await ledger.unpacked(row.key) if row.unpacked else ())
    return manifest


async def unpacked_of(
    ledger: Ledger, rows: Iterable[ArtifactRow]
) -> Mapping[ArtifactKey, Sequence[UnpackedEntry]]:
    """What the archives among these artifacts are unpacked to."""
    return {row.key: await ledger.unpacked(row.key) for row in rows if row.unpacked is not None}


async def standing_unpacked(ledger: Ledger, rows: Iterable[ArtifactRow]) -> set[MirrorPath]:
    """What may stand in the folders of the archives among these artifacts."""
    return {
        MirrorPath(it.below(row.path + UNPACKED))
        for row in rows
        if row.may_stand and row.path is not None and row.extraction is not None
        for it in await ledger.unpacked(row.key)
    }


async def refresh_manifests(
    place: ManifestPlace,
    run: RunKey,
    origin: str | None = None,
    changed: Mapping[ArtifactKey, ArtifactRow] | None = None,
) -> None:
    """Write a complete run's manifests anew, without a question to the service.

    ``origin``: the service's host where no manifest tells it. Nothing is done where nobody does:
    the next pass writes it. It also signs what cannot be signed now.
    """
    known = await place.ledger.run(run)
    if known is None or not known.complete:
        return
    told = await place.offload(_host, place.mirror, place.layout.manifests(run)[1])
    if not (host := told or origin):
        return
    await write_or_unsettle(place, run, host, changed)


async def write_or_unsettle(
    place: ManifestPlace,
    run: RunKey,
    origin: str,
    changed: Mapping[ArtifactKey, ArtifactRow] | None = None,
) -> None:
    """Write a run's manifests; leave what cannot be signed to the next pass."""
    _, why = await write_manifests(place, run, origin, changed)
    if why:
        _log.warning("a manifest is not signed", run=str(run), why=why)
        await place.ledger.unsettle(run)


async def _replace(place: ManifestPlace, run: RunKey, manifest: Manifest, *, mends: bool) -> str:
    """Put both manifests into place; why they are not signed, or an empty text."""
    sums, about = place.layout.manifests(run)
    signature, content = place.layout.signature(run), manifest.sums()
    if await place.offload(place.mirror.read, sums) != content:
        why = await place.offload(_replace_sums, place.mirror, sums, signature, content)
    else:
        sign = _mend_signature if mends else _add_signature
        why = await place.offload(sign, place.mirror, signature, content)
    await place.offload(_replace_one, place.mirror, about, manifest.about())
    return why


def _replace_sums(
    mirror: ArtifactStore, path: MirrorPath, signature: MirrorPath, content: bytes
) -> str:
    """Replace a ``SHA256SUMS``, and its signature with it.

    The old signature goes first: a reader may find none, and never one of another content.
    """
    signed, why = _signed(mirror.signer, content)
    mirror.remove([signature])
    mirror.replace(content, path)
    if signed is not None:
        mirror.replace(signed, signature)
    return why


def _add_signature(mirror: ArtifactStore, signature: MirrorPath, content: bytes) -> str:
    """Sign a ``SHA256SUMS`` that has no signature; why that cannot be."""
    if has_signature(mirror, signature):
        return ""
    signed, why = _signed(mirror.signer, content)
    if signed is not None:
        mirror.replace(signed, signature)
    return why


def _mend_signature(mirror: ArtifactStore, signature: MirrorPath, content: bytes) -> str:
    """Replace a signature that is missing or wrong by one that is right; why that cannot be.

    The old one stays where there is no better one: the program that judges may itself be wrong.
    """
    if not has_signature(mirror, signature):
        return _add_signature(mirror, signature, content)
    if mirror.signer is None or not wrong_signature(mirror, signature, content):
        return ""
    signed, why = _signed(mirror.signer, content)
    if signed is None:
        return why
    if why := mirror.signer.check(content, signed):
        return f"has made a signature that is wrong, says mirror.verify_command, which {why}"
    mirror.replace(signed, signature)
    return ""


def _signed(signer: ManifestSigner | None, content: bytes) -> tuple[bytes | None, str]:
    """The signature of a manifest, or why there is none."""
    if signer is None or not signer.signs:
        return None, ""
    try:
        return signer.sign(content), ""
    except Unsigned as error:
        return None, str(error)


def has_signature(mirror: ArtifactStore, signature: MirrorPath) -> bool:
    """Whether a signature is there, right or wrong, or nobody makes one. Blocking."""
    if mirror.signer is None or not mirror.signer.signs:
        return True
    found = mirror.find(signature)
    return found is not None and found.kind == "file"


def wrong_signature(mirror: ArtifactStore, signature: MirrorPath, content: bytes) -> str:
    """Why a signature that stands is wrong; empty: nothing says so. Blocking. ``UsageError``."""
    found = mirror.find(signature)
    if found is not None and found.size > _LONGEST_SIGNATURE:
        return "too long"
    signed = mirror.read(signature) or b""
    why = mirror.signer.check(content, signed) if mirror.signer is not None else ""
    return f"mirror.verify_command {why}" if why else ""


def _replace_one(mirror: ArtifactStore, path: MirrorPath, content: bytes) -> None:
    if mirror.read(path) != content:
        mirror.replace(content, path)


def _host(mirror: ArtifactStore, path: MirrorPath) -> str | None:
    """The service that a ``run.json`` names; None: there is none that can be read."""
    try:
        told = json.loads(mirror.read(path) or b"")
    except (ValueError, RecursionError):
        return None
    host = told.get("source") if isinstance(told, dict) else None
    return host if isinstance(host, str) else None
