"""System calls that fail in the program: a small library, compiled for the purpose."""

from __future__ import annotations

from pathlib import Path

from preloaded import compiled

SOURCE = Path(__file__).with_name("failing_calls.c")


def failing(call: str, code: int | str, name: str = "", **which: int) -> dict[str, str]:
    """Variables under which a call on files whose path holds ``name`` fails with this errno.

    ``which``: ``first`` of them by number, and ``times``. The code ``kill`` ends the program there.
    ``statvfs`` with 0 answers that everything is 0.
    """
    return {
        "LD_PRELOAD": compiled(SOURCE),
        "FAIL_CALL": call,
        "FAIL_ERRNO": str(code),
        **({"FAIL_NAME": name} if name else {}),
        **{f"FAIL_{word.upper()}": str(number) for word, number in which.items()},
    }
