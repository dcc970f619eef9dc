"""Programs whose time of day is off: a small library, compiled for the purpose."""

from __future__ import annotations

from pathlib import Path

from preloaded import compiled

SOURCE = Path(__file__).with_suffix(".c")


def shifted(seconds: int) -> dict[str, str]:
    """Variables under which a program's clock is so far ahead."""
    return {"LD_PRELOAD": compiled(SOURCE), "SHIFT_SECONDS": str(seconds)} if seconds else {}
