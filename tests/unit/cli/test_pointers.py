from __future__ import annotations

import pytest

from artifact_sync.cli.pointers import address_of, pointer_of_log

OF_KEY = "f:1: a: unknown key; b"


def test_a_published_page_is_named_by_its_url() -> None:
    assert address_of("disk#no-space", "") == "troubleshooting/disk#no-space"
    url = "https://docs.example.org/sync/troubleshooting/disk/#no-space"
    assert address_of("disk#no-space", "https://docs.example.org/sync/") == url


@pytest.mark.parametrize(
    ("fields", "section"),
    [
        ({"event": "the service cannot be reached; …", "why": "TLS failed"}, "service#certificate"),
        ({"event": "no room on the mirror's disk", "why": "no words"}, "disk#no-space"),
        (
            {"event": "the new configuration is not used, the old one stays", "problem": OF_KEY},
            "configuration#old-one-stays",
        ),
        ({"event": "x", "problem": OF_KEY}, "configuration#unknown-key"),
        ({"event": "bad bytes", "reason": "integrity"}, "artifacts#integrity"),
        ({"event": "stopped", "reason": "interrupted"}, None),
        ({"event": "x", "reason": 7}, None),
        ({"event": "the mirror is watched again"}, None),
    ],
)
def test_a_line_of_the_log_is_looked_up_by_its_cause_then_by_its_message(
    fields: dict[str, object], section: str | None
) -> None:
    assert pointer_of_log(fields) == (section and f"troubleshooting/{section}")
