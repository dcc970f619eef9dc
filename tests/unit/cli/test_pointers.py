from __future__ import annotations

import pytest

from artifact_sync.cli.pointers import address_of, pointer_of_log


def test_a_published_page_is_named_by_its_url() -> None:
    assert address_of("disk#no-space", "") == "troubleshooting/disk#no-space"
    url = "https://docs.example.org/sync/troubleshooting/disk/#no-space"
    assert address_of("disk#no-space", "https://docs.example.org/sync/") == url


@pytest.mark.parametrize(
    ("fields", "section"),
    [
        ({"event": "no room on the mirror's disk", "why": "TLS failed"}, "disk#no-space"),
        ({"event": "cannot be looked at", "why": "TLS failed"}, "service#certificate"),
        ({"event": "x", "problem": "f:1: a: unknown key; b"}, "configuration#unknown-key"),
        ({"event": "bad bytes", "reason": "integrity"}, "artifacts#integrity"),
        ({"event": "stopped", "reason": "interrupted"}, None),
        ({"event": "x", "reason": 7}, None),
        ({"event": "the mirror is watched again"}, None),
    ],
)
def test_a_line_of_the_log_is_looked_up_by_its_message_then_by_its_cause(
    fields: dict[str, object], section: str | None
) -> None:
    assert pointer_of_log(fields) == (section and f"troubleshooting/{section}")
