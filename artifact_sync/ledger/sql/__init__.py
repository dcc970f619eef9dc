"""The statements, by name, as they stand in the ``.sql`` files beside this module.

``-- name: x`` begins a statement. ``:y`` is a value that a verb gives, ``IN (:these)`` a list of
them, and ``{z}`` the text of another statement. Drivers bind the values (``artifact_sync.ledger``).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILES = ("repositories", "runs", "artifacts")
_NAME = r"(?m)^-- name: (\w+)\n"
_COMMENT = r"(?m)^--.*\n"
_PART = r"\{(\w+)\}"


@cache
def statement(name: str) -> str:
    """The text of a statement. ``KeyError``: there is none of this name."""
    return re.sub(_PART, lambda part: statement(part[1]), _texts()[name])


@cache
def _texts() -> Mapping[str, str]:
    texts: dict[str, str] = {}
    for file in _FILES:
        sql = Path(__file__).with_name(f"{file}.sql").read_text("utf-8")
        _, *parts = re.split(_NAME, sql)
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            texts[name] = re.sub(_COMMENT, "", text).strip().removesuffix(";")
    return texts


def names() -> frozenset[str]:
    """The names of all statements, those included that are parts of others."""
    return frozenset(_texts())
