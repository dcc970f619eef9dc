"""Archives that mean harm, or are damaged, are refused as a whole."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from archives import FILES, PACKERS, entry, symlink, tar_of, zip_of
from hypothesis import given, settings
from hypothesis import strategies as st

from artifact_sync.domain.archive_format import archive_format
from artifact_sync.domain.archives import ExtractLimits
from artifact_sync.domain.errors import UnsafeArchive
from artifact_sync.mirror.archives.unpack import Hashing, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.archives import UnpackedEntry

LIMITS = ExtractLimits(1000, 1 << 20, 200)


class Held:
    """An archive in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read_at(self, offset: int, count: int) -> bytes:
        return self.data[offset : offset + count]


def unpacked(data: bytes, limits: ExtractLimits = LIMITS) -> Sequence[UnpackedEntry]:
    return unpack(Held(data), limits, Hashing())


def refused(data: bytes, limits: ExtractLimits = LIMITS) -> str:
    with pytest.raises(UnsafeArchive) as caught:
        unpacked(data, limits)
    return str(caught.value)


def tar(*members: tarfile.TarInfo) -> bytes:
    return tar_of({"dir/file": b"here"}, members)


def odd_zip(name: str, content: bytes = b"x", mode: int = 0, **fields: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        about = zipfile.ZipInfo(name)
        about.external_attr, about.create_system = mode << 16, 3
        for field, value in fields.items():
            setattr(about, field, value)
        archive.writestr(about, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (zip_of({"../out": b"x"}), "leads out"),
        (zip_of({"a/../../out": b"x"}), "leads out"),
        (zip_of({"/etc/passwd": b"x"}), "absolute"),
        (zip_of({"C:/x": b"x"}), "drive"),
        (tar_of({"a\\..\\x": b"x"}), "backslash"),
        (zip_of({"a\nb": b"x"}), "control"),
        (zip_of({"nul.txt": b"x"}), "device"),
        (zip_of({"x" * 256: b"x"}), "longer"),
        (zip_of({"A": b"x", "a": b"y"}), "one name"),
        (zip_of({"caf\u00e9": b"x", "cafe\u0301": b"y"}), "one name"),
        (zip_of({"D/a": b"x", "d/b": b"y"}), "one name"),
        (zip_of({"a": b"x", "a/b": b"y"}), "no folder"),
        (tar_of({"a/b": b"x", "a": b"y"}), "twice"),
        (tar(entry("dir/file", tarfile.SYMTYPE, "file2")), "twice"),
        (tar(symlink("out", "/etc")), "leads out"),
        (tar(symlink("out", "../x")), "leads out"),
        (tar(symlink("dir/a", "../.."), symlink("b", "dir/a")), "leads out"),
        (tar(symlink("up", "dir"), symlink("dir/out", "../up/../../x")), "leads out"),
        (tar(symlink("a", "b"), symlink("b", "a")), "circle"),
        (tar(symlink("a", "nothing")), "leads to nothing"),
        (tar(symlink("a", "dir/file/x")), "leads through a file"),
        (tar(symlink("a", "dir/file/")), "leads through a file"),
        (tar(symlink("a", "dir/file/.")), "leads through a file"),
        (tar(symlink("a", "dir/file"), symlink("b", "a//")), "leads through a file"),
        (tar(symlink("a", "dir"), entry("a/b", tarfile.DIRTYPE)), "no folder"),
        (tar(entry("hard", tarfile.LNKTYPE, "../../etc/passwd")), "leads out"),
        (tar(entry("hard", tarfile.LNKTYPE, "later")), "no file before it"),
        (tar(symlink("s", "dir"), entry("hard", tarfile.LNKTYPE, "s")), "no file before it"),
        (tar(entry("null", tarfile.CHRTYPE)), "a device"),
        (tar(entry("disk", tarfile.BLKTYPE)), "a device"),
        (tar(entry("pipe", tarfile.FIFOTYPE)), "a FIFO"),
        (odd_zip("dev", mode=stat.S_IFCHR | 0o666), "a device"),
        (odd_zip("link", b"../../x", stat.S_IFLNK | 0o777), "leads out"),
        (zip_of({"a": b"x"}) + b"behind", "not at its end"),
        (b"#!/bin/sh\n" + zip_of({"a": b"x"}), "not where its end says"),
        (tar_of({"a": b"x"}) + b"behind", "behind the end"),
    ],
)
def test_what_could_do_harm_is_refused(data: bytes, words: str) -> None:
    assert words in refused(data)


def test_links_that_stay_inside_are_made_and_told_with_what_they_lead_to() -> None:
    found = {
        it.path: it for it in unpacked(tar(symlink("dir/up", "../dir/file"), symlink("d", "dir")))
    }
    assert found["dir/up"].sha256 == found["dir/file"].sha256
    assert (found["d"].target, found["d"].sha256) == ("dir", "")


def test_links_take_no_more_steps_together_than_can_be_followed() -> None:
    long = "dir/../" * 145
    chain = [symlink("0", long + "dir")]
    chain += [symlink(f"{number}", f"{long}{number - 1}") for number in range(1, 39)]
    chain += [symlink(f"all{number}", f"{long}38") for number in range(9)]
    assert "more steps" in refused(tar(*chain))


def test_bombs_are_stopped_on_the_bytes_that_come() -> None:
    zeros = bytes(900_000)
    assert "max_ratio" in refused(zip_of({"a": zeros}))
    for pack in PACKERS.values():
        if pack is not bytes:
            assert "max_ratio" in refused(pack(tar_of({"a": zeros})))
    assert "max_bytes" in refused(zip_of({"a": bytes(2 << 20)}), ExtractLimits(9, 1 << 20, 10**6))
    many = zip_of({f"{number}": b"" for number in range(11)})
    assert "max_entries" in refused(many, ExtractLimits(10, 1 << 20, 200))
    assert len(unpacked(many, ExtractLimits(11, 1 << 20, 200))) == 11


def test_entries_that_share_their_bytes_are_refused() -> None:
    """The construction of a zip bomb whose entries lie over each other."""
    data = bytearray(zip_of({"a": b"1" * 100, "b": b"2" * 100}, zipfile.ZIP_STORED))
    second = data.rfind(b"PK\x01\x02")
    data[second + 42 : second + 46] = bytes(4)  # both begin at the first byte
    assert refused(bytes(data))


def test_nothing_hides_between_the_ends_of_a_large_zip() -> None:
    plain = zip_of(FILES)
    at = len(plain) - 22
    count, size, offset = struct.unpack("<HLL", plain[at + 10 : at + 20])
    versions, parts = (45, 45), (0, 0)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, *versions, *parts, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    assert len(unpacked(plain[:at] + record + locator + plain[at:])) == len(FILES)
    hidden = plain[:at] + record + b"hidden" + locator + plain[at:]
    assert "damaged" in refused(hidden)


def test_a_local_header_that_says_something_else_is_refused() -> None:
    data = bytearray(zip_of({"aa": b"1" * 100}))
    data[30:32] = b"bb"
    assert "another name" in refused(bytes(data))
    encrypted = bytearray(zip_of({"aa": b"1"}))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.find(magic) + offset] |= 1
    assert "encrypted" in refused(bytes(encrypted))
    wrong = bytearray(zip_of({"aa": b"1" * 100}, zipfile.ZIP_STORED))
    wrong[40] ^= 1
    assert "CRC-32" in refused(bytes(wrong))


@pytest.mark.parametrize("name", PACKERS)
def test_an_archive_that_is_cut_anywhere_is_refused(name: str) -> None:
    whole = PACKERS[name](tar_of(FILES))
    content = len(whole) if name != "tar" else len(tar_of(FILES).rstrip(b"\0")) + 1024
    for length in range(600, content, max(1, content // 60)):
        refused(whole[:length])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_archive_gives_the_same_files_or_none(data: st.DataObject) -> None:
    """A bit that is turned is found, or concerns no name and no byte of a file."""
    name = data.draw(st.sampled_from([*sorted(PACKERS), "zip"]))
    whole = zip_of(FILES) if name == "zip" else PACKERS[name](tar_of(FILES))
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    damaged = bytearray(whole)
    damaged[place // 8] ^= 1 << place % 8
    try:
        found = unpacked(bytes(damaged))
    except UnsafeArchive:
        return
    if name == "tar":  # nothing vouches for the bytes of a file in it
        assert [it.path for it in found] == [it.path for it in unpacked(whole)]
    else:
        assert found == unpacked(whole)


def test_formats_are_told_by_content() -> None:
    def told(data: bytes) -> str:
        return archive_format(Held(data).read_at, len(data))

    for name, pack in PACKERS.items():
        assert told(pack(tar_of(FILES))) == name
        if name != "tar":
            assert told(pack(b"plain" * 300)) == name.removeprefix("tar+")
    assert told(zip_of(FILES)) == told(zip_of({})) == "zip"
    assert told(b"") == told(b"hello") == told(bytes(2000)) == told(zlib.compress(b"x")) == "none"
