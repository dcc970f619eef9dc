"""Archives made for tests: plain ones, and ones that mean harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Files = dict[str, bytes]

FILES: Files = {
    "site/index.html": b"<p>hello\n",
    "site/a/deep.txt": b"deep\n" * 400,
    "run.sh": b"#!",
}


def tar_of(files: Mapping[str, bytes], extra: Iterable[tarfile.TarInfo] = ()) -> bytes:
    """A tar of these files, and of what else is given."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(content), 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(about, io.BytesIO(content))
        for about in extra:
            tar.addfile(about)
    return out.getvalue()


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A link, a folder or a device in a tar."""
    about = tarfile.TarInfo(name)
    about.type, about.linkname, about.mode = kind, target, 0o755
    return about


def symlink(name: str, target: str) -> tarfile.TarInfo:
    """A symbolic link in a tar."""
    return entry(name, tarfile.SYMTYPE, target)


def zip_of(files: Mapping[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, content in files.items():
            about = zipfile.ZipInfo(name)  # of 1980: the same bytes each time
            about.compress_type = packing
            archive.writestr(about, content)
    return out.getvalue()


def zstd_of(data: bytes) -> bytes:
    """Packed by zstd."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError:
        from backports import zstd  # noqa: PLC0415
    options = {zstd.CompressionParameter.checksum_flag: 1}
    packed: bytes = zstd.compress(data, options=options)
    return packed


PACKERS = {
    "tar": bytes,
    "tar+gzip": gzip.compress,
    "tar+bzip2": bz2.compress,
    "tar+xz": lzma.compress,
    "tar+zstd": zstd_of,
}
