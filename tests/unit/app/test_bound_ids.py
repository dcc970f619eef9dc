"""Two processes that begin one mirror at the same time agree on its id."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from artifact_sync.app.locations import bind_ids
from artifact_sync.config import load
from artifact_sync.ledger import open_ledger
from artifact_sync.runtime.threads import Offload

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "1" * 32


class Contested:
    """A ``MirrorId`` of a place where another process gives the id first."""

    def __init__(self) -> None:
        self.here: str | None = None

    def read_id(self) -> str | None:
        return self.here

    def write_id(self, mirror: str, over: str | None) -> bool:
        assert (mirror != OTHER, over) == (True, None)
        self.here = OTHER
        return False

    def expect(self, mirror: str) -> None:
        raise AssertionError(mirror)


def test_the_id_of_who_was_faster_is_the_mirror_s(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[mirror]\nroot = "{tmp_path / "mirror"}"\n')
    config = load(file, {}).config

    async def story() -> tuple[str, str | None]:
        with ThreadPoolExecutor(1) as executor:
            ledger = await open_ledger("sqlite://", durability="strict")
            try:
                bound = await bind_ids(config, ledger, Contested(), Offload(executor))
                return bound, await ledger.mirror()
            finally:
                await ledger.aclose()

    assert asyncio.run(story()) == (OTHER, OTHER)
