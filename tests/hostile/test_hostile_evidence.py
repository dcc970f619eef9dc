"""Bytes that are not what they should be, and bytes that only look so."""

from __future__ import annotations

import gzip
import hashlib
import json

import pytest
from behaviours import (
    Behaviour,
    chunked,
    flipped,
    honest,
    in_turn,
    store_error,
    store_error_page,
)
from digests import DIGESTS, structured
from trial import Trial, noise

CONTENT = noise(1, 300_001)
OTHER = noise(2, 300_001)
ALL = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("name", DIGESTS)
def test_a_bit_that_is_always_flipped_is_an_integrity_failure(trial: Trial, name: str) -> None:
    file = trial.service.file(CONTENT, flipped)
    file.headers[name] = DIGESTS[name](CONTENT)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (5, ["integrity"])
    assert trial.has_nothing()


@pytest.mark.parametrize("name", DIGESTS)
def test_a_bit_that_was_flipped_once_is_fetched_again(trial: Trial, name: str) -> None:
    file = trial.service.file(CONTENT, in_turn(flipped, honest))
    file.headers[name] = DIGESTS[name](CONTENT)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_bit_flipped_in_a_file_that_is_too_big_for_memory_is_found(trial: Trial) -> None:
    content = noise(4, 5 << 20)
    trial.service.file(content, flipped, Repr_Digest=structured(content))
    assert trial.sync().reasons == ["integrity"]
    assert trial.has_nothing()
    assert trial.staged() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Repr-Digest", "sha-256=:%%%:"),
        ("Repr-Digest", "snake-oil=:AAAA:"),
        ("Digest", "UNIXsum=30637, , ="),
        ("Content-MD5", "short"),
        ("x-amz-checksum-sha256", "AAAA-12"),
    ],
)
def test_a_digest_that_cannot_be_read_condemns_nothing(trial: Trial, name: str, value: str) -> None:
    trial.service.file(CONTENT).headers[name] = value
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


@pytest.mark.parametrize(
    "value", [hashlib.md5(OTHER, usedforsecurity=False).hexdigest(), "0" * 32 + "-3"]
)
def test_an_md5_shaped_etag_that_is_not_the_md5_condemns_nothing(trial: Trial, value: str) -> None:
    trial.service.file(CONTENT, ETag=f'"{value}"')
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


@pytest.mark.parametrize("code", ["InternalError", "AccessDenied", "NoSuchKey", "SomethingNew"])
def test_200_with_an_object_stores_error_is_never_the_file(trial: Trial, code: str) -> None:
    trial.service.file(CONTENT, store_error(200, code))
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert set(outcome.reasons) <= {"error_page", "link", "gone", "throttled"}
    assert trial.has_nothing()


def test_200_with_an_object_stores_error_once_then_the_file(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(store_error(200, "AccessDenied"), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_artifacts_that_are_xml_or_html_work(trial: Trial) -> None:
    page = b"<!DOCTYPE html><html><body><h1>Error</h1></body></html>"
    junit = b'<?xml version="1.0"?>\n<testsuite errors="1"><testcase name="Error"/></testsuite>'
    files = {
        "error.xml": store_error_page("AccessDenied"),
        "report.html": page,
        "reports/junit.xml": junit,
        "coverage": page,
        "results": junit,
    }
    trial.service.run(files)
    assert trial.sync().counts == (5, 5, 0, 0)
    assert all(trial.has(content, name) for name, content in files.items())


def test_gzip_is_kept_as_it_was_served_and_labelled(trial: Trial) -> None:
    packed = gzip.compress(CONTENT)
    trial.service.file(packed, Content_Encoding="gzip")
    assert trial.sync().exit_code == 0
    assert trial.has(packed)
    about = json.loads((trial.manifest().parent / "run.json").read_text())
    assert "gzip" in json.dumps(about)
    assert all(v.header("accept-encoding") == "identity" for v in trial.service.origin.requests)


@pytest.mark.parametrize(
    "value", ["attachment; filename=../../x", "attachment; filename*=UTF-8''%2e%2e%2f%2e%2e%2fx"]
)
def test_content_disposition_names_nothing(trial: Trial, value: str) -> None:
    trial.service.file(CONTENT, Content_Disposition=value)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert trial.files() == [trial.place()]


@pytest.mark.parametrize("behaviour", [honest, chunked()], ids=["length", "chunked"])
def test_an_empty_file_is_a_file(trial: Trial, behaviour: Behaviour) -> None:
    trial.service.file(b"", behaviour)
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(b"")
