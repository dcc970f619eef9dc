from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from artifact_sync.config.ledger_password import with_password
from artifact_sync.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

URL = "postgresql://mirror@db/name"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "ledger-password").write_text("p@ss wörd/?&\nmore\n", encoding="utf-8")
    return {"CREDENTIALS_DIRECTORY": str(tmp_path)}


def test_a_server_without_a_password_gets_systemds(environ: dict[str, str]) -> None:
    escaped = "password=p%40ss%20w%C3%B6rd%2F%3F%26"
    assert with_password(URL, environ) == f"{URL}?{escaped}"
    options = f"{URL}?sslmode=require"
    assert with_password(options, environ) == f"{options}&{escaped}"


@pytest.mark.parametrize(
    "url", ["postgresql://mirror:own@db/name", f"{URL}?a=1&password=own", "sqlite:///ledger"]
)
def test_a_url_that_needs_none_stays(environ: dict[str, str], url: str) -> None:
    assert with_password(url, environ) == url


def test_without_a_credential_the_url_stays_and_an_empty_one_is_an_error(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    assert with_password(URL, {}) == URL
    (tmp_path / "ledger-password").write_text("\n")
    with pytest.raises(ConfigError, match=r"ledger's password file .* is empty"):
        with_password(URL, environ)
