"""Bytes that are not what they should be, and bytes that only look so."""

from __future__ import annotations

import gzip
import hashlib
import json

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
from hostile_service import File
from trial import Trial, noise

CONTENT = noise(1, 300_001)
OTHER = noise(2, 300_001)
ALL = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"


def with_digests(behaviour: Behaviour) -> dict[str, File]:
    """A file for each header, which holds the right digest of what should come."""
    return {
        name: File(CONTENT, behaviour, {name: digest(CONTENT)}) for name, digest in DIGESTS.items()
    }


def test_a_bit_that_is_always_flipped_is_an_integrity_failure(trial: Trial) -> None:
    trial.service.run(with_digests(flipped))
    outcome = trial.sync()
    assert outcome.exit_code == 5
    assert outcome.reasons_by("local_path") == dict.fromkeys(DIGESTS, "integrity")
    assert trial.has_nothing()


def test_a_bit_that_was_flipped_once_is_fetched_again(trial: Trial) -> None:
    files = with_digests(in_turn(flipped, honest))
    trial.service.run(files)
    assert trial.sync().counts == (len(DIGESTS), len(DIGESTS), 0, 0)
    assert all(trial.has(CONTENT, name) for name in files)
    assert {len(file.visits) for file in files.values()} == {2}


def test_a_bit_flipped_in_a_file_that_is_too_big_for_memory_is_found(trial: Trial) -> None:
    content = noise(4, 5 << 20)
    trial.service.file(content, flipped, Repr_Digest=structured(content))
    assert trial.sync().reasons == ["integrity"]
    assert trial.has_nothing()
    assert trial.staged() == 0


def test_a_digest_that_cannot_be_read_condemns_nothing(trial: Trial) -> None:
    odd = [
        ("Repr-Digest", "sha-256=:%%%:"),
        ("Repr-Digest", "snake-oil=:AAAA:"),
        ("Digest", "UNIXsum=30637, , ="),
        ("Content-MD5", "short"),
        ("x-amz-checksum-sha256", "AAAA-12"),
        ("x-goog-hash", "crc32c"),
    ]
    trial.service.run({str(n): File(CONTENT, headers=dict([pair])) for n, pair in enumerate(odd)})
    assert trial.sync().counts == (6, 6, 0, 0)


def test_an_md5_shaped_etag_that_is_not_the_md5_condemns_nothing(trial: Trial) -> None:
    of_another = hashlib.md5(OTHER, usedforsecurity=False).hexdigest()
    etags = {"other": of_another, "parts": "0" * 32 + "-3", "upper": of_another.upper()}
    trial.service.run(
        {name: File(CONTENT, headers={"ETag": f'"{etag}"'}) for name, etag in etags.items()}
    )
    assert trial.sync().counts == (3, 3, 0, 0)


def listed(trial: Trial) -> dict[str, str | None]:
    about = json.loads((trial.manifest().parent / "run.json").read_text())
    return about["artifacts"][0]


def test_other_bytes_of_a_version_that_is_recorded_are_an_integrity_failure(trial: Trial) -> None:
    file = trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    trial.place().unlink()
    file.content = OTHER
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (5, ["integrity"])
    assert "but the ledger says" in outcome.failures[0]["message"]
    assert not trial.files()
    assert trial.staged() == 0
    assert trial.sync("--run", "1").exit_code == 5
    file.content = CONTENT
    assert trial.sync("--run", "1").exit_code == 0
    assert trial.has(CONTENT)


def test_other_bytes_of_a_large_file_of_a_recorded_version_are_refused(trial: Trial) -> None:
    content = noise(5, 3 << 20)
    file = trial.service.file(content)
    assert trial.sync().exit_code == 0
    trial.place().unlink()
    file.content = noise(6, 3 << 20)
    assert trial.sync().reasons == ["integrity"]
    assert not trial.files()
    assert trial.staged() == 0


def test_a_version_left_anew_owes_nothing_to_the_recorded_one(trial: Trial) -> None:
    file = trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    trial.place().unlink()
    file.content, file.updated_at = OTHER, "2026-11-21T10:04:00Z"
    trial.service.repos["org/repo"][0].updated_at = "2026-11-21T10:05:00Z"
    assert trial.sync().exit_code == 0
    assert trial.has(OTHER)


def test_evidence_is_no_weaker_after_the_same_bytes_came_again_without_it(trial: Trial) -> None:
    file = trial.service.file(CONTENT, Repr_Digest=structured(CONTENT))
    assert trial.sync().exit_code == 0
    trial.place().unlink()
    file.headers.clear()
    assert trial.sync().exit_code == 0
    assert listed(trial)["evidence"] == [
        "ledger:sha-256",
        "repr-digest:sha-256",
        "length",
    ]


def test_a_checksum_file_outweighs_the_record_that_it_denies(trial: Trial) -> None:
    files = {"app.bin": File(CONTENT)}
    run = trial.service.run(files)
    assert trial.sync().exit_code == 0
    files["app.bin"].content = OTHER
    sums = File(f"{hashlib.sha256(OTHER).hexdigest()}  app.bin\n".encode())
    run.files.append(("app.bin.sha256", sums))
    run.updated_at = "2026-11-21T10:05:00Z"
    trial.also_right = {CONTENT}
    assert trial.sync().exit_code == 0
    assert trial.has(OTHER)


def test_200_with_an_object_stores_error_is_never_the_file(trial: Trial) -> None:
    codes = ("InternalError", "AccessDenied", "NoSuchKey", "SomethingNew")
    trial.service.run({f"{code}.bin": File(CONTENT, store_error(200, code)) for code in codes})
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert outcome.reasons_by("local_path") == {
        "InternalError.bin": "throttled",
        "AccessDenied.bin": "link",
        "NoSuchKey.bin": "gone",
        "SomethingNew.bin": "error_page",
    }
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


def test_content_disposition_names_nothing(trial: Trial) -> None:
    evil = ["attachment; filename=../../x", "attachment; filename*=UTF-8''%2e%2e%2f%2e%2e%2fx"]
    files = {
        f"{n}.bin": File(CONTENT, headers={"Content-Disposition": text})
        for n, text in enumerate(evil)
    }
    trial.service.run(files)
    assert trial.sync().exit_code == 0
    assert trial.files() == [trial.place("0.bin"), trial.place("1.bin")]


def test_an_empty_file_is_a_file(trial: Trial) -> None:
    trial.service.run({"length": File(b""), "chunked": File(b"", chunked())})
    assert trial.sync().counts == (2, 2, 0, 0)
    assert trial.has(b"", "length")
    assert trial.has(b"", "chunked")
