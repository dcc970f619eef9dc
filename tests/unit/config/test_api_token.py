from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import pytest

from artifact_sync.config.api_token import read_token
from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.settings import SourceSettings

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = SourceSettings()
posix = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


def token_file(folder: Path, content: bytes = b"pv1_file\n", mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_the_file_goes_before_the_variable_and_the_variable_before_systemd(tmp_path: Path) -> None:
    path = token_file(tmp_path)
    (tmp_path / "sourcecraft-token").write_text("pv1_systemd")
    environ = {"SOURCECRAFT_TOKEN": "pv1_variable", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    found = [
        read_token(SourceSettings(token_file=path), environ),
        read_token(NOWHERE, environ),
        read_token(NOWHERE, {"CREDENTIALS_DIRECTORY": str(tmp_path)}),
    ]
    assert [token and (token.value, token.origin) for token in found] == [
        ("pv1_file", f"token file {path}"),
        ("pv1_variable", "$SOURCECRAFT_TOKEN"),
        ("pv1_systemd", f"token file {tmp_path / 'sourcecraft-token'}"),
    ]


def test_without_any_of_the_three_there_is_no_token(tmp_path: Path) -> None:
    assert read_token(NOWHERE, {}) is None
    assert read_token(NOWHERE, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None


def test_white_space_and_a_byte_order_mark_around_a_token_are_dropped(tmp_path: Path) -> None:
    path = token_file(tmp_path, b"\xef\xbb\xbf \tpv1_x\r\n\n")
    token = read_token(SourceSettings(token_file=path), {})
    assert token is not None
    assert token.value == "pv1_x"


def test_a_token_does_not_show_itself() -> None:
    token = read_token(NOWHERE, {"SOURCECRAFT_TOKEN": "pv1_hidden"})
    assert f"{token} {token!r} {[token]}".count("pv1_hidden") == 0
    with pytest.raises(TypeError):
        pickle.dumps(token)


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_file_that_others_can_open_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = token_file(tmp_path, mode=mode)
    with pytest.raises(ConfigError) as refused:
        read_token(SourceSettings(token_file=path), {})
    assert refused.value.problems == (
        f"token file {path}: others can read or write it (mode {mode:04o}); chmod 600 {path}",
    )


@posix
def test_a_systemd_credential_is_guarded_by_its_acl_and_not_by_its_mode(tmp_path: Path) -> None:
    path = token_file(tmp_path, mode=0o440)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    token = read_token(SourceSettings(token_file=path), environ)
    assert token is not None
    assert token.value == "pv1_file"


@posix
def test_a_link_in_the_credentials_folder_does_not_guard_what_lies_outside(tmp_path: Path) -> None:
    outside = token_file(tmp_path, mode=0o644)
    guarded = tmp_path / "credentials"
    guarded.mkdir()
    (guarded / "sourcecraft-token").symlink_to(outside)
    with pytest.raises(ConfigError, match="others can read"):
        read_token(NOWHERE, {"CREDENTIALS_DIRECTORY": str(guarded)})


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"pv1_a b", "spaces"),
        (b"Bearer pv1_a", "Bearer"),
        (b"pv1_a\x00", "control"),
        (b"pv1_a\r\nX-Evil: 1", "control"),
        ("pv1_ключ".encode(), "non-ASCII"),
        (b"\xff\xfepv1", "non-ASCII"),
        (b"a" * 20_000, "too long"),
    ],
)
def test_what_is_no_token_is_refused_unseen(tmp_path: Path, content: bytes, word: str) -> None:
    path = token_file(tmp_path, content)
    with pytest.raises(ConfigError, match=word) as refused:
        read_token(SourceSettings(token_file=path), {})
    assert "pv1_a" not in str(refused.value)
    assert "ключ" not in str(refused.value)


def test_an_empty_variable_is_taken_for_none(tmp_path: Path) -> None:
    assert read_token(NOWHERE, {"SOURCECRAFT_TOKEN": "  "}) is None
    credential = tmp_path / "sourcecraft-token"
    credential.write_text("pv1_credential")
    token = read_token(NOWHERE, {"SOURCECRAFT_TOKEN": "", "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert token is not None
    assert token.value == "pv1_credential"


def test_a_file_that_is_missing_or_a_folder_is_a_problem(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_token(SourceSettings(token_file=path), {})
