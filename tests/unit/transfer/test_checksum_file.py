"""``NAME.sha256`` beside ``NAME``."""

from __future__ import annotations

import hashlib

import pytest

from artifact_sync.domain.model import ArtifactKey
from artifact_sync.transfer.checksum_file import claim_in, subject_of
from artifact_sync.transfer.evidence import Claim

HEX = hashlib.sha256(b"content").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
CLAIM = Claim("sidecar:sha-256", "sha-256", HEX)


def key(path: str) -> ArtifactKey:
    return ArtifactKey("org", "repo", "7", "w", "t", "c", path)


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("x.tar.gz.sha256", "x.tar.gz"),
        ("./dist/x.sha256", "./dist/x"),
        ("x.sha256sum", "x"),
        ("x.SHA256", "x"),
        ("x.sha256.sha256", "x.sha256"),
        ("сборка 1.zip.sha256", "сборка 1.zip"),
    ],
)
def test_a_sidecar_belongs_to_the_file_of_its_name_in_the_same_cube(path, owner):
    assert subject_of(key(path)) == key(owner)


@pytest.mark.parametrize(
    "path", ["x", "x.sha512", "sha256", ".sha256", "a/.sha256", "x.sha256/", "x.sha256.txt", ""]
)
def test_any_other_name_is_no_sidecars(path):
    assert subject_of(key(path)) is None


@pytest.mark.parametrize(
    "content",
    [
        f"{HEX}",
        f"{HEX}\n",
        f"{HEX.upper()}\r\n",
        f"\ufeff{HEX}\n",
        f"  {HEX}  \n\n",
        f"# made by CI\n{HEX}\n",
        f"{HEX}  x.zip\n",
        f"{HEX} *x.zip\n",
        f"{HEX}\tx.zip\n",
        f"{HEX}  dist/out/x.zip\r\n",
        f"{HEX}  ./x.zip\n",
        f"{HEX} *dist\\x.zip\r\n",
        f"SHA256 (x.zip) = {HEX}\n",
        f"SHA256(dist/x.zip)= {HEX}\n",
        f"SHA2-256(x.zip)= {HEX.upper()}\n",
        f"{OTHER}  y.zip\n{HEX}  x.zip\n",
        f"{OTHER}  ax.zip\n{HEX}  x.zip\nnoise\n",
        f"{HEX}  x.zip\n{HEX}  x.zip\n",
        f"{OTHER}  old/x.zip\n{HEX}  x.zip\n",
    ],
)
def test_a_sidecar_speaks_for_its_file(content):
    assert claim_in(content.encode(), "x.zip") == CLAIM


def test_a_sidecar_written_by_powershell_is_read():
    assert claim_in(f"{HEX}  x.zip\r\n".encode("utf-16"), "x.zip") == CLAIM


def test_the_name_may_be_the_artifacts_path():
    content = f"{OTHER}  b/x.zip\n{HEX}  ./a/x.zip\n".encode()
    assert claim_in(content, "a/x.zip") == CLAIM


def test_names_are_compared_in_one_form_of_unicode():
    assert claim_in(f"{HEX}  и\u0306.zip\n".encode(), "\u0439.zip") == CLAIM
    assert claim_in(f"{HEX}  имя и ещё.zip\n".encode(), "имя и ещё.zip") == CLAIM


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "not a checksum",
        HEX[:-1],
        HEX + "0",
        HEX + "x.zip",
        "g" * 64,
        f"{HEX}  y.zip\n",
        f"{HEX}  X.ZIP\n",
        f"{HEX}  x.zip.old\n",
        f"{HEX}  -\n",
        f"{HEX}\n{OTHER}\n",
        f"{HEX}\nnoise\n",
        f"{HEX}  x.zip\n{OTHER}  x.zip\n",
        f"{HEX}  a/x.zip\n{OTHER}  b/x.zip\n",
        f"SHA512 (x.zip) = {HEX}\n",
        f"SHA256 (y.zip) = {HEX}\n",
        f"SHA256 (x.zip) = {HEX[:-1]}\n",
    ],
)
def test_what_is_not_surely_about_the_file_says_nothing(content):
    assert claim_in(content.encode(), "x.zip") is None


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00" * 100, b"\xff" * 70_000])
def test_binary_content_says_nothing(content):
    assert claim_in(content, "x.zip") is None


def test_only_the_first_64_kib_are_looked_at():
    line = f"{HEX}  x.zip\n".encode()
    padding = b"#" * (65536 - len(line) - 1) + b"\n"
    assert claim_in(padding + line, "x.zip") == CLAIM
    assert claim_in(b"#" + padding + line, "x.zip") is None
    assert claim_in(line + b"\xff" * 10_000_000, "x.zip") == CLAIM


def test_a_name_that_the_limit_cuts_is_not_taken_for_the_shorter_one():
    line = f"{HEX}  x.zip".encode()
    content = b"#" * (65536 - len(line) - 1) + b"\n" + line + b".old\n"
    assert claim_in(content, "x.zip") is None
