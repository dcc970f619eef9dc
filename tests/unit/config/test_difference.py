"""What differs between two configurations, in words, and what of it waits for a restart."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from artifact_sync.config import load
from artifact_sync.config.difference import Changes, compare, kept
from artifact_sync.domain.settings import Config, RepoSettings


def config(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(file, {}).config


def shown(changes: Changes) -> list[str]:
    return [f"{key}: {what}" for key, what in [*changes.live.items(), *changes.restart.items()]]


def test_equal_configurations_have_no_changes_wherever_they_were_read_from():
    assert not compare(Config(path=Path("a")), Config(path=Path("b")))
    assert compare(Config(), Config()) == Changes()


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("", "[download]\njobs = 4", "download.jobs: 8 → 4"),
        ("", '[download]\ntimeout = "2m"', 'download.timeout: "1m" → "2m"'),
        ("", '[download]\nlimit = "50MiB"', 'download.limit: "off" → "50MiB"'),
        (
            '[download]\nlimit = "1MiB"',
            '[download]\nlimit = "08:00 5MiB, 23:00 off"',
            'download.limit: "1MiB" → "00:00 off, 08:00 5MiB, 23:00 off"',
        ),
        ("", '[mirror]\nmin_free = "1GB"', 'mirror.min_free: "0" → "1GB"'),
        ("", '[mirror]\nwatch = "restore"', 'mirror.watch: "off" → "restore"'),
        ("", '[daemon]\ninterval = "1m"', 'daemon.interval: "5m" → "1m"'),
        ("", '[web]\nlisten = "127.0.0.1:80"', 'web.listen: not set → "127.0.0.1:80"'),
        ("", '[web]\nsecret_files = ["/a"]', 'web.secret_files: [] → ["/a"]'),
        ("", '[source]\ntoken_file = "/t"', 'source.token_file: not set → "/t"'),
    ],
)
def test_a_key_that_can_change_live_is_told_with_both_values(tmp_path, before, after, change):
    changes = compare(config(tmp_path, before), config(tmp_path, after))
    assert shown(changes) == [change]
    assert changes.restart == {}


@pytest.mark.parametrize(
    ("after", "key"),
    [
        ('[mirror]\nroot = "/new"', "mirror.root"),
        ('[mirror]\nlayout = "{org}/{repo}/{run}/{cube}/{local_path}"', "mirror.layout"),
        ('[mirror]\ndurability = "fast"', "mirror.durability"),
        ("[mirror]\nmust_be_mounted = true", "mirror.must_be_mounted"),
        ('[ledger]\nurl = "sqlite:////l"', "ledger.url"),
        ('[daemon]\nlog_format = "json"', "daemon.log_format"),
    ],
)
def test_what_is_settled_at_the_start_waits_for_a_restart(tmp_path, after, key):
    old, new = config(tmp_path, ""), config(tmp_path, after)
    changes = compare(old, new)
    assert changes.live == {}
    assert list(changes.restart) == [key]
    assert not compare(old, kept(old, new))


def test_truth_values_are_told_as_toml_spells_them(tmp_path):
    changes = compare(config(tmp_path, ""), config(tmp_path, "[mirror]\nmust_be_mounted = true"))
    assert shown(changes) == ["mirror.must_be_mounted: false → true"]


def test_everything_else_of_the_new_configuration_is_used(tmp_path):
    old = config(tmp_path, '[mirror]\nroot = "/old"\nmin_free = 1\n')
    new = config(tmp_path, '[mirror]\nroot = "/new"\nmin_free = 2\n[download]\njobs = 3\n')
    used = kept(old, new)
    assert used.mirror == msgspec.structs.replace(new.mirror, root=Path("/old"))
    assert used.download == new.download
    assert (used.path, used.repo) == (new.path, new.repo)


def test_repositories_come_go_and_change_by_name(tmp_path):
    old = config(tmp_path, '[[repo]]\nname = "o/a"\n[[repo]]\nname = "o/b"\n')
    new = config(
        tmp_path,
        '[[repo]]\nname = "o/c"\n[[repo]]\nname = "o/b"\ncron = "0 3 * * *"\ninclude = ["*.whl"]\n',
    )
    assert shown(compare(old, new)) == [
        "repo o/a: removed",
        'repo o/b.include: [] → ["*.whl"]',
        'repo o/b.cron: not set → "0 3 * * *"',
        "repo o/c: added",
    ]


def test_the_order_of_repositories_is_no_change():
    a, b = RepoSettings(name="o/a"), RepoSettings(name="o/b")
    assert not compare(Config(repo=(a, b)), Config(repo=(b, a)))


def test_a_password_is_never_shown_and_its_change_is_still_told(tmp_path):
    old = config(tmp_path, '[ledger]\nurl = "postgresql+psycopg://u:hush1@h/d?password=hush2"')
    new = config(tmp_path, '[ledger]\nurl = "postgresql+psycopg://u:hush3@h/d?password=hush2"')
    masked = '"postgresql+psycopg://u:***@h/d?password=***"'
    assert compare(old, new).restart == {"ledger.url": f"{masked} → {masked}"}
    proxy = config(tmp_path, '[source]\nproxy = "http://u:hush@p:1"')
    assert shown(compare(Config(), proxy)) == ['source.proxy: not set → "http://u:***@p:1"']


def test_a_value_with_control_characters_stays_one_line():
    odd = RepoSettings(name="o/a", include=("a\n\x1b[31m\u202eb",))
    old, new = Config(repo=(RepoSettings(name="o/a"),)), Config(repo=(odd,))
    assert shown(compare(old, new)) == ['repo o/a.include: [] → ["a\\n\\u001b[31m\\u202eb"]']
