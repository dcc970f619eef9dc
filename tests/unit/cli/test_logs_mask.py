from __future__ import annotations

import pytest

from artifact_sync.cli.logs.mask import Mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET https://s3.example/b/k?X-Amz-Signature=s now", "GET https://s3.example/… now"),
        ("('https://s3.example:8443/k')", "('https://s3.example:8443/…')"),
        ("https://s3.example?sig=s", "https://s3.example/…"),
        ("HTTPS://u:pw@s3.example", "HTTPS://s3.example"),
        ("see https://s3.example", "see https://s3.example"),
        ("postgresql://u:pw@db/x", "postgresql://***@db/x"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("{'Authorization': 'bearer abc'}", "{'Authorization': 'bearer ***'}"),
        ("token pv1_AbC-9 ends", "token *** ends"),
        ("eyJhbGciOi.eyJzdWIi.c2ln", "***"),
        ("/b/k?X-Amz-Signature=abc&y=1", "/b/k?X-Amz-Signature=***&y=1"),
        ("org/repo run 5: nothing secret", "org/repo run 5: nothing secret"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, masked: str) -> None:
    assert Mask()(text) == masked


def test_a_secret_that_was_told_is_hidden_wherever_it_stands() -> None:
    mask = Mask()
    for secret in ("s3cret", "s3cret-longer\n", None, "", "abc"):
        mask.add(secret)
    assert mask("xs3cretx s3cret-longer abc") == "x***x *** abc"
