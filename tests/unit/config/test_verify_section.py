"""``[verify]``: how often and how fast, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from artifact_sync import config
from artifact_sync.config.difference import compare
from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.settings import Config, VerifySettings

if TYPE_CHECKING:
    from pathlib import Path


def loaded(folder: Path, text: str, **environ: str) -> VerifySettings:
    path = folder / "config.toml"
    path.write_text(f"[verify]\n{text}")
    return config.load(path, environ).config.verify


def test_what_can_be_written_is_read(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == VerifySettings(every=30 * 86_400.0, rate=20 << 20)
    assert loaded(tmp_path, 'every = "Off"\nrate = " off "') == VerifySettings(every=0, rate=0)
    assert loaded(tmp_path, 'every = "${E}"\nrate = 1024', E="1w") == VerifySettings(
        every=7 * 86_400.0, rate=1024
    )
    assert loaded(tmp_path, "", ARTIFACT_SYNC_VERIFY__EVERY="off").every == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("every = 0", 'every: expected a duration from 1s to 3660d, or "off", got 0'),
        ('every = "never"', "every: expected a duration such as 30s, 5m, 2h, 7d or 1w"),
        ("rate = 0", "rate: expected a size from 1KiB to"),
        ("rate = true", "rate: expected a size such as"),
        ("each = 1", "each: unknown key"),
    ],
)
def test_what_cannot_be_is_told_with_what_can(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, text)
    (told,) = refused.value.problems
    assert f"verify.{problem}" in told


def test_a_change_takes_effect_at_once_and_is_told_as_it_is_written() -> None:
    changed = compare(Config(), Config(verify=VerifySettings(every=0.0, rate=0)))
    told = {"verify.every": '"30d" → "off"', "verify.rate": '"20MiB" → "off"'}
    assert (dict(changed.live), dict(changed.restart)) == (told, {})
