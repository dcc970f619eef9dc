from __future__ import annotations

import pytest

from artifact_sync.web.webhook_secrets import is_signature, is_signed

# RFC 4231, test case 2
RIGHT = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
BODY = b"what do ya want for nothing?"


def test_the_signature_is_hmac_sha256_in_lower_case_hex() -> None:
    assert is_signature(RIGHT)
    assert is_signed(RIGHT, BODY, [b"Jefe"])


@pytest.mark.parametrize("secrets", [[b"Jefe", b"b", b"c"], [b"a", b"Jefe", b"c"], [b"a", b"Jefe"]])
def test_any_of_the_secrets_will_do(secrets: list[bytes]) -> None:
    assert is_signed(RIGHT, BODY, secrets)


def test_no_secret_signs_nothing() -> None:
    assert not is_signed(RIGHT, BODY, [])


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        RIGHT[:-1],
        RIGHT + "0",
        RIGHT + "\n",
        RIGHT.upper(),
        f"sha256={RIGHT}",
        " " + RIGHT,
        "\u0665" + RIGHT[1:],
        "ü" * 64,
        "?" * 64,
    ],
)
def test_whatever_is_not_64_lower_case_hex_digits_is_wrong(wrong: str) -> None:
    assert not is_signature(wrong)
    assert not is_signed(wrong, BODY, [b"Jefe"])


def test_a_signature_of_another_body_or_by_another_secret_is_wrong() -> None:
    assert not is_signed(RIGHT, BODY + b" ", [b"Jefe"])
    assert not is_signed(RIGHT, BODY, [b"jefe"])
