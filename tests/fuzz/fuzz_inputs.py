"""Configurations, the web port and the control socket, garbled."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

from fake_daemon_api import REQUEST, URL, FakeDaemonApi, served
from garbling import Garbling
from hypothesis import given
from hypothesis import strategies as st
from web_trial import request, run_complete, web

from artifact_sync import config
from artifact_sync.config import keys
from artifact_sync.daemon.control.client import DaemonClient
from artifact_sync.daemon.control.protocol import sync_request
from artifact_sync.domain.errors import ConfigError

EXAMPLE = (Path(config.__file__).parent / "example.toml").read_bytes()
WHOLE = EXAMPLE.replace(b"\n# ", b"\n")
"""With every key that the example only shows."""
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
VARIABLES = [f"{section}__{key}" for section, it in keys.SECTIONS.items() for key in it.keys]
seeds = st.integers(0, 2**32)


def _loads(content: bytes, environ: dict[str, str]) -> None:
    """A configuration or all of its problems, each of them one line that can be shown."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_bytes(content)
        problems = _problems(path, environ)
        assert problems is None or problems != ()
        assert all(it and it.isprintable() for it in problems or ()), problems


def _problems(path: Path, environ: dict[str, str]) -> tuple[str, ...] | None:
    try:
        config.load(path, environ)
    except ConfigError as error:
        return error.problems
    return None


@given(st.sampled_from([EXAMPLE, WHOLE]), seeds)
def configurations(content: bytes, seed: int) -> None:
    _loads(Garbling(0, seed).bytes(content), {})


@given(st.dictionaries(st.sampled_from(VARIABLES), texts, max_size=3))
def environments(values: dict[str, str]) -> None:
    _loads(b"", {f"ARTIFACT_SYNC_{name.upper()}": value for name, value in values.items()})


@given(st.lists(seeds, min_size=1, max_size=3))
def web_requests(garbled: list[int]) -> None:
    """Whatever was sent, the next one is answered."""

    async def story(folder: Path) -> None:
        async with web(folder) as trial:
            for seed in garbled:
                rubbish = Garbling(0, seed).bytes(request(run_complete()))
                async with await trial.raw(rubbish, eof=True) as raw:
                    with suppress(ConnectionError):
                        await raw.closed()
            async with await trial.raw(request(run_complete(event="next"))) as raw:
                assert (await raw.answer())[0] in {200, 202, 204}

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder)))


@given(st.lists(seeds, min_size=1, max_size=3))
def control_requests(garbled: list[int]) -> None:
    """Whatever was sent, the next one is answered."""

    async def story(own: Path) -> None:
        async with served(own, FakeDaemonApi()) as path:
            for seed in garbled:
                reader, writer = await asyncio.open_unix_connection(path)
                with suppress(ConnectionError):
                    writer.write(Garbling(0, seed).bytes(sync_request(REQUEST, URL)))
                    writer.write_eof()
                    await asyncio.wait_for(reader.read(), 10)
                writer.close()
            assert await DaemonClient(own).status() is not None

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder, ".artifact-sync")))
