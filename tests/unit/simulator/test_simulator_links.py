"""Temporary links: which are let in and which are refused."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from urllib.parse import parse_qs

import pytest

from artifact_sync.simulator import (
    Cube,
    Files,
    Repo,
    Scenario,
    ScenarioArtifact,
    ScenarioRun,
    Simulator,
)
from artifact_sync.simulator.links import LAPSED, MISSIGNED, UNSIGNED, signer

NOW = 1_790_000_000.9  # 2026-09-21T14:13:20.9Z
S3 = signer(Files(lifetime=1.5))


def test_a_presigned_link_tells_when_it_was_made_and_how_long_it_lives() -> None:
    fields = parse_qs(S3.query("/a/b", NOW))
    assert fields["X-Amz-Date"] == ["20260921T141320Z"]
    assert fields["X-Amz-Expires"] == ["2"]
    assert len(fields["X-Amz-Signature"][0]) == 64


def test_a_presigned_link_is_good_for_get_until_it_lapses() -> None:
    query = S3.query("/a/b", NOW)
    assert S3.judge("GET", "/a/b", query, NOW) is None
    assert S3.judge("GET", "/a/b", query, 1_790_000_001.99) is None
    assert S3.judge("GET", "/a/b", query, 1_790_000_002.0) == LAPSED
    assert (LAPSED.status, LAPSED.code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("method", "path", "change", "refusal"),
    [
        ("HEAD", "/a/b", ("", ""), MISSIGNED),
        ("GET", "/a/c", ("", ""), MISSIGNED),
        ("GET", "/a/b", ("Expires=2", "Expires=9999"), MISSIGNED),
        ("GET", "/a/b", ("20260921T", "20300921T"), MISSIGNED),
        ("GET", "/a/b", ("X-Amz-Signature=", "X-Amz-Signature=é"), MISSIGNED),
        ("GET", "/a/b", ("X-Amz-Signature", "Signature"), UNSIGNED),
        ("GET", "/a/b", ("X-Amz-Date", "Date"), UNSIGNED),
    ],
)
def test_a_presigned_link_is_bound_to_method_path_date_and_lifetime(
    method: str, path: str, change: tuple[str, str], refusal: object
) -> None:
    query = S3.query("/a/b", NOW).replace(*change)
    assert S3.judge(method, path, query, NOW) == refusal


def test_another_secret_makes_another_signature() -> None:
    assert signer(Files(secret="x", lifetime=1.5)).judge(
        "GET", "/a/b", S3.query("/a/b", NOW), NOW
    ) == (MISSIGNED)


def test_a_link_for_nginx_is_the_one_that_its_module_reckons() -> None:
    nginx = signer(Files(style="nginx", secret="enigma", lifetime=60))
    md5 = hashlib.md5(b"1790000061/files/x enigma", usedforsecurity=False).digest()
    expected = urlsafe_b64encode(md5).decode().rstrip("=")
    query = nginx.query("/files/x", NOW)
    assert query == f"md5={expected}&expires=1790000061"
    assert nginx.judge("HEAD", "/files/x", query, NOW) is None
    assert nginx.judge("GET", "/files/y", query, NOW) == UNSIGNED
    assert nginx.judge("GET", "/files/x", "", NOW) == UNSIGNED
    late = nginx.judge("GET", "/files/x", query, NOW + 62)
    assert late is not None
    assert late.status == 410


@pytest.mark.parametrize(
    ("style", "begins"),
    [("s3", "?X-Amz-Algorithm="), ("nginx", "?md5="), ("plain", "")],
)
def test_links_lead_to_another_server_where_the_scenario_names_one(style: str, begins: str) -> None:
    files = Files(style=style, base_url="http://files.example:8081/store/")  # type: ignore[arg-type]
    repo = Repo(
        "a/b", runs=(ScenarioRun(cubes=(Cube(artifacts=(ScenarioArtifact("../../x", size=1),)),)),)
    )
    link = Simulator(Scenario(files=files, repos=(repo,))).link("a/b", "1", "../../x")
    base, key = link[:32], link[32:].partition("?")[0]
    assert base == "http://files.example:8081/store/"
    assert key.replace("/", "", 1).isalnum()
    assert len(key) == 35
    assert link[67:].startswith(begins)
    assert bool(link[67:]) == bool(begins)
