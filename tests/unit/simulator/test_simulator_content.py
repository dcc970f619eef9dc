"""Generated files: any part of them at any time, always the same, never all at once."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.simulator.content import (
    BLOCK,
    DigestLine,
    Generated,
    Literal,
    content_chunks,
    content_digest,
)

FILE = Generated("seed", "key", 3 * BLOCK + 77)
WHOLE = b"".join(content_chunks(FILE))


def read(content: Generated, offset: int, length: int) -> bytes:
    data = b""
    while len(data) < length and (piece := content.read(offset + len(data), length - len(data))):
        data += piece
    return data


@given(st.integers(0, FILE.size + 5), st.integers(0, 2 * BLOCK))
def test_a_part_is_the_same_as_that_part_of_the_whole(offset: int, length: int) -> None:
    assert read(FILE, offset, length) == WHOLE[offset : offset + length]


def test_a_read_gives_at_most_what_is_asked_for_and_nothing_at_the_end() -> None:
    assert len(WHOLE) == FILE.size
    assert len(FILE.read(0, 5)) == 5
    assert FILE.read(FILE.size, 5) == b""
    assert FILE.read(FILE.size + 1, 5) == b""
    assert Generated("seed", "key", 0).read(0, 5) == b""


def test_content_never_changes_between_versions_of_this_program() -> None:
    assert content_digest(Generated("seed", "key", BLOCK + 100), "sha256").hex() == (
        "f64b0041f344282cb8833ba8038c637a32e40bdca80ef66c2cc9cd9c9c3ed5cd"
    )


def test_another_seed_key_or_size_makes_other_bytes_everywhere() -> None:
    first = FILE.read(BLOCK + 500_000, 64)
    others = [
        Generated("other", "key", FILE.size),
        Generated("seed", "other", FILE.size),
        Generated("seed", "key", FILE.size + 1),
    ]
    parts = {first, *(other.read(BLOCK + 500_000, 64) for other in others)}
    assert len(parts) == 4
    assert FILE.read(500_000, 64) != first  # nor does one block repeat another


def test_a_part_of_a_huge_file_costs_no_more_than_that_part() -> None:
    huge = Generated("seed", "key", 5 << 40)
    assert len(huge.read((4 << 40) + 1000, 100)) == 100


def test_a_digest_line_is_what_sha256sum_prints() -> None:
    line = DigestLine(FILE, "app.tar.gz")
    expected = f"{hashlib.sha256(WHOLE).hexdigest()}  app.tar.gz\n".encode()
    assert line.read(0, 1000) == expected
    assert line.size == len(expected)
    assert line.read(64, 2) == b"  "
    assert DigestLine(Literal(b"x"), "app.tar.gz").identity != line.identity
