"""What servers claim of a file, and judging the bytes by it."""

from __future__ import annotations

import base64
import hashlib
import zlib

import msgspec
import pytest

from artifact_sync.domain.errors import ExitCode, IntegrityFailure
from artifact_sync.domain.model import Strength
from artifact_sync.transfer.evidence import (
    Claim,
    Hashes,
    Identity,
    Recorded,
    claims,
    judge,
    judge_file,
)

DATA = b"123456789"
CRC32 = 0xCBF43926  # the check values of the CRC catalogue
CRC32C = 0xE3069283
VALUES = {
    "sha-256": hashlib.sha256(DATA).digest(),
    "sha-512": hashlib.sha512(DATA).digest(),
    "sha-1": hashlib.sha1(DATA, usedforsecurity=False).digest(),
    "md5": hashlib.md5(DATA, usedforsecurity=False).digest(),
    "crc32": CRC32.to_bytes(4, "big"),
    "crc32c": CRC32C.to_bytes(4, "big"),
}
HEX = {name: value.hex() for name, value in VALUES.items()}
ALL_ALGORITHMS = tuple(VALUES)


def b64(algorithm: str) -> str:
    return base64.b64encode(VALUES[algorithm]).decode()


def hashed(*algorithms: str, data: bytes = DATA) -> Hashes:
    hashes = Hashes(algorithms)
    hashes.update(data)
    return hashes


def claimed(field: str, value: str, *, partial: bool = False) -> list[tuple[str, str, bytes]]:
    found = claims({field: value}, partial=partial)
    assert not any(claim.advice for claim in found)
    return [(claim.name, claim.algorithm, bytes.fromhex(claim.value)) for claim in found]


def test_all_hashes_are_computed_in_one_go_over_many_blocks():
    hashes = Hashes(ALL_ALGORITHMS)
    for start in range(0, len(DATA), 4):
        hashes.update(memoryview(DATA)[start : start + 4])
    assert {name: hashes.digest(name) for name in ALL_ALGORITHMS} == VALUES
    assert hashes.sha256 == VALUES["sha-256"].hex()


def test_the_sha_256_is_always_computed_and_nothing_unasked_is():
    assert Hashes().algorithms == {"sha-256"}
    assert Hashes({"md5"}).algorithms == {"sha-256", "md5"}
    assert Hashes().sha256 == hashlib.sha256().hexdigest()
    with pytest.raises(KeyError):
        Hashes().digest("md5")
    with pytest.raises(KeyError):
        Hashes({"md4"})


@pytest.mark.parametrize("field", ["repr-digest", "content-digest"])
@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        ("sha-256", "sha-256"),
        ("sha-512", "sha-512"),
        ("sha", "sha-1"),
        ("md5", "md5"),
        ("crc32c", "crc32c"),
    ],
)
def test_the_fields_of_rfc_9530_are_read(field, key, algorithm):
    value = VALUES[algorithm]
    assert claimed(field, f"{key}=:{b64(algorithm)}:") == [
        (f"{field}:{algorithm}", algorithm, value)
    ]


def test_a_dictionary_of_digests_is_read_member_by_member():
    text = f"unixsum=:AAAA:, sha-512=:{b64('sha-512')}:;w=1 ,\tsha-256=:{b64('sha-256')}:, x"
    assert claimed("repr-digest", text) == [
        ("repr-digest:sha-512", "sha-512", VALUES["sha-512"]),
        ("repr-digest:sha-256", "sha-256", VALUES["sha-256"]),
    ]


def test_the_last_of_two_equal_keys_counts():
    text = f"md5=:{base64.b64encode(bytes(16)).decode()}:, md5=:{b64('md5')}:"
    assert claimed("repr-digest", text) == [("repr-digest:md5", "md5", VALUES["md5"])]


def test_base64_without_its_padding_is_read():
    text = b64("sha-256").rstrip("=")
    assert claimed("repr-digest", f"sha-256=:{text}:")[0][2] == VALUES["sha-256"]


@pytest.mark.parametrize("field", ["repr-digest", "content-digest"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "sha-256",
        "sha-256=",
        "sha-256=::",
        "sha-256=:!!!!:",
        f"sha-256=:{b64('md5')}:",
        f"sha-256=:{b64('sha-256')}",
        f"sha-256={b64('sha-256')}",
        f'sha-256="{b64("sha-256")}"',
        f"sha-256=:{VALUES['sha-256'].hex()}:",
        f"sha-256=: {b64('sha-256')}:",
        f"sha-256=:={b64('sha-256')}:",
        f"sha-256=:{b64('sha-256')}===:",
        f"sha-384=:{b64('sha-256')}:",
        f"id-sha-256=:{b64('sha-256')}:",
        "sha-256=?1",
        "unixcksum=:AAAAAA==:",
        "adler=:AAAAAA==:",
    ],
)
def test_a_malformed_or_unknown_digest_of_rfc_9530_is_no_evidence(field, text):
    assert claimed(field, text) == []


def test_the_digest_of_rfc_3230_is_read_with_all_of_its_values():
    text = f"SHA-256={b64('sha-256')},md5={b64('md5')}, SHA={b64('sha-1')},SHA-512={b64('sha-512')}"
    assert claimed("digest", text) == [
        (f"digest:{name}", name, VALUES[name]) for name in ("sha-256", "md5", "sha-1", "sha-512")
    ]


@pytest.mark.parametrize("value", ["e3069283", "E3069283", b64("crc32c")])
def test_a_crc_32c_digest_is_read_in_hex_and_in_base64(value):
    assert claimed("digest", f"crc32c={value}") == [("digest:crc32c", "crc32c", VALUES["crc32c"])]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SHA-256",
        "SHA-256=",
        "SHA-256=?",
        f"SHA-256={VALUES['sha-256'].hex()}",
        f"SHA-256={b64('md5')}",
        f"SHA-256=:{b64('sha-256')}:",
        "MD5=e3069283",
        "crc32c=e306928",
        "crc32c=e30692833",
        "crc32c=٣٣٣٣٣٣٣٣",
        "UNIXsum=30637",
        "adler32=03da0195",
    ],
)
def test_a_malformed_or_unknown_digest_of_rfc_3230_is_no_evidence(text):
    assert claimed("digest", text) == []


def test_content_md5_is_read():
    assert claimed("content-md5", f" {b64('md5')} ") == [("content-md5", "md5", VALUES["md5"])]


@pytest.mark.parametrize("text", ["", "x", VALUES["md5"].hex(), b64("sha-1"), "Ā" * 24])
def test_a_malformed_content_md5_is_no_evidence(text):
    assert claimed("content-md5", text) == []


@pytest.mark.parametrize(
    ("field", "algorithm"),
    [
        ("x-amz-checksum-sha256", "sha-256"),
        ("x-amz-checksum-sha512", "sha-512"),
        ("x-amz-checksum-sha1", "sha-1"),
        ("x-amz-checksum-md5", "md5"),
        ("x-amz-checksum-crc32", "crc32"),
        ("x-amz-checksum-crc32c", "crc32c"),
    ],
)
def test_the_checksums_of_s3_are_read(field, algorithm):
    assert claimed(field, b64(algorithm)) == [(field, algorithm, VALUES[algorithm])]
    assert claims({field: b64(algorithm), "x-amz-checksum-type": "FULL_OBJECT"}, partial=False)


def test_a_composite_checksum_of_s3_is_no_evidence():
    assert claimed("x-amz-checksum-crc32", f"{b64('crc32')}-7") == []
    headers = {"x-amz-checksum-crc32": b64("crc32"), "x-amz-checksum-type": "COMPOSITE"}
    assert claims(headers, partial=False) == ()


@pytest.mark.parametrize("text", ["", "cbf43926", b64("md5"), "%%%%"])
def test_a_malformed_checksum_of_s3_is_no_evidence(text):
    assert claimed("x-amz-checksum-crc32", text) == []


def test_a_checksum_that_nobody_here_computes_is_no_evidence():
    assert claimed("x-amz-checksum-crc64nvme", "rosUhgp5mIg=") == []


def test_the_hashes_of_google_are_read_from_one_line_or_two():
    found = [
        ("x-goog-hash:crc32c", "crc32c", VALUES["crc32c"]),
        ("x-goog-hash:md5", "md5", VALUES["md5"]),
    ]
    for comma in (",", ", "):
        text = f"crc32c={b64('crc32c')}{comma}md5={b64('md5')}"
        assert claimed("x-goog-hash", text) == found


@pytest.mark.parametrize("text", ["", "crc32c", "crc32c=AAA", f"md5={b64('sha-1')}"])
def test_a_malformed_hash_of_google_is_no_evidence(text):
    assert claimed("x-goog-hash", text) == []


@pytest.mark.parametrize(
    ("kept", "given", "counts"),
    [
        ("identity", None, True),
        ("gzip", "gzip", True),
        ("gzip", None, False),
        ("gzip", "identity", False),
    ],
)
def test_a_hash_of_google_is_of_the_object_as_it_is_kept(kept, given, counts):
    headers = {"x-goog-hash": f"md5={b64('md5')}", "x-goog-stored-content-encoding": kept}
    if given:
        headers["content-encoding"] = given
    assert bool(claims(headers, partial=False)) is counts


@pytest.mark.parametrize("text", [VALUES["md5"].hex(), VALUES["md5"].hex().upper()])
def test_an_etag_in_the_shape_of_an_md5_is_advice(text):
    found = claims({"etag": f'"{text}"'}, partial=True)
    assert found == (Claim("etag:md5", "md5", HEX["md5"], advice=True),)


@pytest.mark.parametrize(
    "etag",
    [
        "",
        VALUES["md5"].hex(),
        f'W/"{VALUES["md5"].hex()}"',
        f'"{VALUES["md5"].hex()}-2"',
        f'"{VALUES["sha-256"].hex()}"',
        '"5f3c-61a"',
    ],
)
def test_any_other_etag_is_no_claim(etag):
    assert claims({"etag": etag}, partial=False) == ()


def test_of_a_partial_answer_only_what_is_of_the_whole_file_counts():
    headers = {
        "repr-digest": f"sha-256=:{b64('sha-256')}:",
        "digest": f"SHA-256={b64('sha-256')}",
        "x-goog-hash": f"crc32c={b64('crc32c')}",
        "etag": f'"{VALUES["md5"].hex()}"',
        "content-digest": f"sha-256=:{b64('sha-256')}:",
        "content-md5": b64("md5"),
        "x-amz-checksum-sha256": b64("sha-256"),
    }
    whole = ["repr-digest:sha-256", "digest:sha-256", "x-goog-hash:crc32c", "etag:md5"]
    of_part = ["content-digest:sha-256", "content-md5", "x-amz-checksum-sha256"]
    assert [claim.name for claim in claims(headers, partial=True)] == whole
    assert [claim.name for claim in claims(headers, partial=False)] == whole + of_part


def test_fields_of_no_concern_claim_nothing():
    headers = {"content-type": "text/plain", "x-amz-meta-sha256": b64("sha-256"), "etag": '"a"'}
    assert claims(headers, partial=False) == ()


@pytest.mark.parametrize("algorithm", ALL_ALGORITHMS)
def test_a_true_claim_vouches_with_its_own_strength(algorithm):
    strong = algorithm in {"sha-256", "sha-512"}
    claim = Claim(f"somebody:{algorithm}", algorithm, HEX[algorithm])
    assert judge([claim], hashed(algorithm), length_known=False) == (
        Strength.DIGEST if strong else Strength.CHECKSUM,
        (f"somebody:{algorithm}",),
    )


@pytest.mark.parametrize("algorithm", ALL_ALGORITHMS)
def test_one_flipped_bit_is_an_integrity_failure(algorithm):
    flipped = bytes([DATA[0] ^ 1]) + DATA[1:]
    claim = Claim(f"somebody:{algorithm}", algorithm, HEX[algorithm])
    with pytest.raises(IntegrityFailure) as failure:
        judge([claim], hashed(algorithm, data=flipped), length_known=True)
    assert failure.value.exit_code is ExitCode.INTEGRITY


def test_without_claims_the_length_is_all_there_is():
    assert judge([], hashed(), length_known=True) == (Strength.LENGTH, ("length",))
    assert judge([], hashed(), length_known=False) == (Strength.NONE, ())


def test_what_vouched_is_named_strongest_first_and_once():
    found = [
        Claim("x-amz-checksum-crc32", "crc32", HEX["crc32"]),
        Claim("etag:md5", "md5", HEX["md5"], advice=True),
        Claim("digest:sha-256", "sha-256", HEX["sha-256"]),
        Claim("digest:sha-256", "sha-256", HEX["sha-256"]),
    ]
    assert judge(found, hashed("crc32", "md5"), length_known=True) == (
        Strength.DIGEST,
        ("digest:sha-256", "x-amz-checksum-crc32", "etag:md5", "length"),
    )


def test_an_advice_that_proves_wrong_condemns_nothing():
    etag = Claim("etag:md5", "md5", "00" * 16, advice=True)
    assert judge([etag], hashed("md5"), length_known=True) == (Strength.LENGTH, ("length",))


def test_an_advice_that_proves_right_vouches():
    etag = Claim("etag:md5", "md5", HEX["md5"], advice=True)
    assert judge([etag], hashed("md5"), length_known=False) == (Strength.CHECKSUM, ("etag:md5",))


def test_of_two_claims_that_contradict_each_other_the_wrong_one_condemns():
    found = [
        Claim("repr-digest:sha-256", "sha-256", HEX["sha-256"]),
        Claim("content-md5", "md5", "00" * 16),
    ]
    with pytest.raises(IntegrityFailure) as failure:
        judge(found, hashed("md5"), length_known=True)
    assert str(failure.value) == (
        "the MD5 of the bytes is 25f9e794323b4538… but Content-Md5 says 0000000000000000…"
    )


def test_the_failure_names_the_strongest_claim_that_was_missed():
    found = [
        Claim("x-amz-checksum-crc32", "crc32", "00" * 4),
        Claim("repr-digest:sha-256", "sha-256", "00" * 32),
    ]
    with pytest.raises(IntegrityFailure) as failure:
        judge(found, hashed("crc32"), length_known=True)
    assert str(failure.value) == (
        "the SHA-256 of the bytes is 15e2b0d3c33891eb… but Repr-Digest says 0000000000000000…"
    )
    with pytest.raises(IntegrityFailure) as failure:
        judge(found[:1], hashed("crc32"), length_known=True)
    assert str(failure.value) == (
        "the CRC32 of the bytes is cbf43926 but X-Amz-Checksum-Crc32 says 00000000"
    )


def test_the_failure_of_a_sidecar_says_which_file_disagrees():
    with pytest.raises(IntegrityFailure, match=r"but the \.sha256 file beside it says 0000"):
        judge([Claim("sidecar:sha-256", "sha-256", "00" * 32)], hashed(), length_known=True)


def test_a_claim_whose_checksum_was_not_computed_neither_vouches_nor_condemns():
    late = Claim("repr-digest:sha-512", "sha-512", "00" * 64)
    assert judge([late], hashed(), length_known=True) == (Strength.LENGTH, ("length",))


def test_an_empty_file_is_judged_like_any_other():
    claim = Claim("digest:crc32", "crc32", zlib.crc32(b"").to_bytes(4, "big").hex())
    assert judge([claim], hashed("crc32", data=b""), length_known=True)[0] is Strength.CHECKSUM


def test_claims_outlive_a_restart_as_json():
    found = (
        Claim("repr-digest:sha-256", "sha-256", HEX["sha-256"]),
        Claim("etag:md5", "md5", HEX["md5"], advice=True),
    )
    stored = msgspec.json.encode(found)
    assert msgspec.json.decode(stored) == [
        ["repr-digest:sha-256", "sha-256", VALUES["sha-256"].hex(), False],
        ["etag:md5", "md5", VALUES["md5"].hex(), True],
    ]
    assert msgspec.json.decode(stored, type=tuple[Claim, ...]) == found


@pytest.mark.parametrize(
    "garbage",
    [
        3,
        "text",
        {"name": "n"},
        [[]],
        [None],
        [["n", "md5", "00", False]],
        [["n", "md5", "zz" * 16, False]],
        [["n", "md4", "00" * 16, False]],
        [["n", "md5", 5, False]],
        [[None, "md5", "00" * 16, False]],
        [["n", ["md5"], "00" * 16, False]],
        [["n", "md5", "00" * 16, False], 7],
    ],
)
def test_garbage_in_place_of_stored_claims_is_refused(garbage):
    with pytest.raises((msgspec.MsgspecError, KeyError)):
        msgspec.convert(garbage, tuple[Claim, ...])


def recorded(sha256: str, strength: Strength, *evidence: str) -> Recorded:
    return Recorded(sha256, strength, evidence)


def test_the_ledgers_record_condemns_other_bytes_of_the_same_version():
    record = recorded("00" * 32, Strength.LENGTH, "length")
    with pytest.raises(IntegrityFailure, match="but the ledger says 0000000000000000…"):
        judge_file(Identity(total=9), (), record, hashed())


@pytest.mark.parametrize(
    ("strength", "evidence", "joined"),
    [
        (Strength.NONE, (), ("ledger:sha-256", "length")),
        (Strength.LENGTH, ("length",), ("ledger:sha-256", "length")),
        (Strength.CHECKSUM, ("content-md5", "length"), ("ledger:sha-256", "content-md5", "length")),
        (
            Strength.DIGEST,
            ("x-amz-checksum-sha256", "etag:md5", "length"),
            ("ledger:sha-256", "x-amz-checksum-sha256", "etag:md5", "length"),
        ),
        (Strength.DIGEST, ("ledger:sha-256",), ("ledger:sha-256", "length")),
    ],
)
def test_evidence_that_was_recorded_is_kept_strongest_first(strength, evidence, joined):
    record = recorded(VALUES["sha-256"].hex(), strength, *evidence)
    assert judge_file(Identity(total=9), (), record, hashed()) == (Strength.DIGEST, joined)
