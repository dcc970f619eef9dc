from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest
from web_trial import FakeClock

from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.settings import WebSettings
from artifact_sync.web.webhook_secrets import KnownSecrets, WebhookSecrets, read_secrets

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


def secret_file(path: Path, content: bytes = b"one\n", mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def problem(*files: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read_secrets(WebSettings(secret_files=files), environ or {})
    return str(caught.value)


def test_each_line_of_each_file_is_a_secret_without_the_space_around_it(tmp_path: Path) -> None:
    first = secret_file(tmp_path / "a", b"\xef\xbb\xbf  one \r\n\n# not a comment\n\t\n")
    second = secret_file(tmp_path / "b", b"two\none")
    found = read_secrets(WebSettings(secret_files=(first, second)), {})
    assert found == (b"one", b"# not a comment", b"two")


def test_without_files_the_systemd_credential_counts_and_with_files_it_does_not(
    tmp_path: Path,
) -> None:
    secret_file(tmp_path / "webhook-secret", b"systemd", 0o644)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    mine = secret_file(tmp_path / "mine", b"mine", 0o644)
    assert read_secrets(WebSettings(), environ) == (b"systemd",)
    assert read_secrets(WebSettings(secret_files=(mine,)), environ) == (b"mine",)


def test_without_files_and_credential_there_is_no_secret(tmp_path: Path) -> None:
    assert read_secrets(WebSettings(), {}) == ()
    assert read_secrets(WebSettings(), {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == ()


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_can_open_is_refused_and_the_word_says_what_to_do(
    tmp_path: Path, mode: int
) -> None:
    path = secret_file(tmp_path / "s", mode=mode)
    assert problem(path) == (
        f"webhook secret file {path}: others can read or write it (mode {mode:04o});"
        f" chmod 600 {path}"
    )


def test_a_file_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in problem(tmp_path / "none")
    empty = secret_file(tmp_path / "empty", b" \n\n")
    assert problem(empty).startswith(f"webhook secret file {empty}: is empty")


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    long = secret_file(tmp_path / "long", b"x" * 100_000)
    assert problem(long).endswith("is too long for secrets, one a line")


@posix
def test_a_pipe_that_nobody_writes_to_keeps_nobody_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert "cannot be read: it is no regular file; " in problem(pipe)


def test_secrets_do_not_show_themselves() -> None:
    assert "whsec" not in repr(KnownSecrets((b"whsec",)))


def test_a_new_secret_counts_without_a_restart_and_a_flood_reads_once(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "s", b"old")
    readings = 0

    def read() -> tuple[bytes, ...]:
        nonlocal readings
        readings += 1
        return read_secrets(WebSettings(secret_files=(path,)), {})

    async def story() -> list[KnownSecrets]:
        clock = FakeClock()
        secrets = WebhookSecrets(read, clock)
        flood = await asyncio.gather(*(secrets.known() for _ in range(100)))
        secret_file(path, b"new")
        clock.seconds += 0.1
        flood.append(await secrets.known())
        path.unlink()
        clock.seconds += 0.1
        return [flood[0], flood[99], flood[100], await secrets.known()]

    first, last, rotated, gone = asyncio.run(story())
    assert first.secrets == last.secrets == (b"old",)
    assert rotated.secrets == (b"new",)
    assert gone.secrets == ()
    assert gone.problem.startswith(f"webhook secret file {path}: cannot be read")
    assert readings == 3


def test_a_disk_that_hangs_is_waited_for_so_long_and_asked_once() -> None:
    free, readings = threading.Event(), []

    def read() -> tuple[bytes, ...]:
        readings.append(1)
        assert free.wait(10)
        return (b"late",)

    async def story() -> list[KnownSecrets]:
        secrets = WebhookSecrets(read, FakeClock())
        found = [await secrets.known(0.05), await secrets.known(0.05)]
        free.set()
        return [*found, await secrets.known(10)]

    *late, known = asyncio.run(story())
    assert [it.problem[:34] for it in late] == ["they could not be read in time: a "] * 2
    assert known.secrets == (b"late",)
    assert len(readings) == 1
