"""Promises of evidence that hold for every file, every claim and every hostile field."""

from __future__ import annotations

import base64
import hashlib
import zlib
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.domain.errors import IntegrityFailure
from artifact_sync.domain.http_headers import content_length, content_range, validator
from artifact_sync.domain.model import Strength
from artifact_sync.transfer.checksum_file import claim_in
from artifact_sync.transfer.error_page import failure_of_status, store_error
from artifact_sync.transfer.evidence import Claim, Hashes, claims, judge

ALGORITHMS = ("sha-256", "sha-512", "sha-1", "md5", "crc32", "crc32c")
FIELDS = (
    "repr-digest",
    "content-digest",
    "digest",
    "content-md5",
    "x-amz-checksum-sha256",
    "x-amz-checksum-crc32",
    "x-amz-checksum-type",
    "x-goog-hash",
    "x-goog-stored-content-encoding",
    "content-encoding",
    "etag",
    "last-modified",
    "date",
)
hostile = st.one_of(
    st.text(max_size=60),
    st.text("abcdef0123456789=:;,-/\" +AW'", max_size=80),
    st.binary(max_size=64).map(lambda value: f"sha-256=:{base64.b64encode(value).decode()}:"),
)
headers = st.dictionaries(st.sampled_from(FIELDS), hostile)
sizes = st.integers(0, 10**15)


def digest(algorithm: str, data: bytes) -> bytes:
    hashes = Hashes([algorithm])
    hashes.update(data)
    return hashes.digest(algorithm)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_how_a_file_is_cut_into_blocks_changes_no_checksum(data, cuts):
    hashes = Hashes(ALGORITHMS)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        hashes.update(data[start:end])
    assert hashes.sha256 == hashlib.sha256(data).hexdigest()
    assert hashes.digest("sha-512") == hashlib.sha512(data).digest()
    assert hashes.digest("sha-1") == hashlib.sha1(data, usedforsecurity=False).digest()
    assert hashes.digest("md5") == hashlib.md5(data, usedforsecurity=False).digest()
    assert hashes.digest("crc32") == zlib.crc32(data).to_bytes(4, "big")
    assert hashes.digest("crc32c") == digest("crc32c", data)


@given(st.binary(), st.sets(st.sampled_from(ALGORITHMS)), st.booleans())
def test_true_claims_vouch_and_the_strongest_counts(data, algorithms, length_known):
    found = [Claim(f"x:{name}", name, digest(name, data).hex()) for name in sorted(algorithms)]
    hashes = Hashes(algorithms)
    hashes.update(data)
    strength, evidence = judge(found, hashes, length_known=length_known)
    order = list(Strength)
    floor = Strength.LENGTH if length_known else Strength.NONE
    assert strength is max([floor, *(claim.strength for claim in found)], key=order.index)
    assert set(evidence) == {claim.name for claim in found} | (
        {"length"} if length_known else set()
    )


@given(
    st.binary(min_size=1),
    st.integers(0),
    st.sets(st.sampled_from(ALGORITHMS), min_size=1),
    st.booleans(),
)
def test_a_flipped_bit_is_caught_by_any_claim(data, bit, algorithms, length_known):
    found = [Claim(f"x:{name}", name, digest(name, data).hex()) for name in sorted(algorithms)]
    broken = bytearray(data)
    broken[(bit // 8) % len(data)] ^= 1 << (bit % 8)
    hashes = Hashes(algorithms)
    hashes.update(broken)
    with pytest.raises(IntegrityFailure):
        judge(found, hashes, length_known=length_known)


@given(st.binary(), st.binary(min_size=16, max_size=16))
def test_advice_never_condemns(data, value):
    hashes = Hashes(["md5"])
    hashes.update(data)
    claim = Claim("etag:md5", "md5", value.hex(), advice=True)
    strength, _ = judge([claim], hashes, length_known=False)
    assert strength is (Strength.CHECKSUM if value == digest("md5", data) else Strength.NONE)


@given(st.binary())
def test_every_field_that_tells_the_truth_is_believed(data):
    def b64(name: str) -> str:
        return base64.b64encode(digest(name, data)).decode()

    found = claims(
        {
            "repr-digest": f"sha-256=:{b64('sha-256')}:",
            "content-digest": f"sha-512=:{b64('sha-512')}:",
            "digest": f"SHA={b64('sha-1')},crc32c={digest('crc32c', data).hex()}",
            "content-md5": b64("md5"),
            "x-amz-checksum-crc32": b64("crc32"),
            "x-goog-hash": f"crc32c={b64('crc32c')}, md5={b64('md5')}",
            "etag": f'"{digest("md5", data).hex()}"',
        },
        partial=False,
    )
    hashes = Hashes({claim.algorithm for claim in found})
    hashes.update(data)
    strength, evidence = judge(found, hashes, length_known=True)
    assert strength is Strength.DIGEST
    assert sorted(evidence) == [
        "content-digest:sha-512",
        "content-md5",
        "digest:crc32c",
        "digest:sha-1",
        "etag:md5",
        "length",
        "repr-digest:sha-256",
        "x-amz-checksum-crc32",
        "x-goog-hash:crc32c",
        "x-goog-hash:md5",
    ]


@given(headers, st.booleans())
def test_no_field_breaks_the_reading_and_what_is_read_can_be_judged(fields, partial):
    found = claims(fields, partial=partial)
    hashes = Hashes({claim.algorithm for claim in found})
    assert all(len(claim.value) == 2 * len(hashes.digest(claim.algorithm)) for claim in found)
    assert msgspec.json.decode(msgspec.json.encode(found), type=tuple[Claim, ...]) == found
    assert set(claims(fields, partial=True)) <= set(claims(fields, partial=False))


@given(headers)
def test_a_validator_can_always_be_sent_back(fields):
    found = validator(fields)
    assert found.header.isascii()
    assert found.header.isprintable()
    assert not found.header.startswith("W/")


@given(sizes, sizes, st.none() | sizes)
def test_a_content_range_is_read_when_it_is_possible(start, end, total):
    text = f"bytes {start}-{end}/{'*' if total is None else total}"
    possible = start <= end and (total is None or end < total)
    assert content_range(text) == ((start, end, total) if possible else None)


@given(st.text())
def test_no_text_breaks_lengths_and_ranges(text):
    length = content_length(text)
    assert length is None or (text.isascii() and text.isdigit() and length == int(text))
    assert content_range(text) is None or text.lower().startswith("bytes ")


@given(st.binary(max_size=500) | hostile.map(str.encode), st.text(max_size=20))
def test_no_content_of_a_sidecar_breaks_the_reading(content, name):
    assert claim_in(content, name) is None or len(content) >= 64


@given(st.binary(), st.text("abc/. ъ", min_size=1).filter(lambda name: name.strip("/. ")))
def test_a_subject_of_a_file_speaks_for_it(data, name):
    clean = name.strip("/ ")
    line = f"{hashlib.sha256(data).hexdigest()}  {clean}\n".encode()
    assert claim_in(line, clean) == Claim(
        "sidecar:sha-256", "sha-256", hashlib.sha256(data).hexdigest()
    )


@given(st.binary(max_size=300), st.binary(max_size=100), st.integers(100, 999))
def test_no_body_breaks_the_telling_and_no_code_is_unfit_to_be_shown(tail, middle, status):
    head = b"<Error>" + middle + b"<Code>" + tail
    code = store_error(head, "x")
    assert code is None or (code.isascii() and code.isprintable() and len(code) <= 64)
    assert str(failure_of_status(status, head, None)).startswith(
        f"the file's server answered {status}"
    )
