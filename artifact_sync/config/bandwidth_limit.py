"""Parses and formats ``download.limit``: a rate, ``off``, or a timetable.

A timetable is a text such as ``08:00 5MiB, 23:00 off``, with the commas also where rclone has them
(``08:00,5MiB 23:00,off``), or a table of TOML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from artifact_sync.config.value_types import ValueType, either, expected, toml_text
from artifact_sync.domain.timetable import TIME, format_time, parse_time, timetable_of
from artifact_sync.runtime import units

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from artifact_sync.config.value_types import ExpansionScope
    from artifact_sync.domain.settings import Timetable

LEAST = 1024
"""Bytes a second: at less, hardly anything would arrive before the service deletes it."""

_OFF = "off"
_GAP = r"[\s,]+"
_RATE = f"[oO][fF][fF]|{units.SIZE}"
_CHANGE = f"{TIME}{_GAP}(?:{_RATE})"
_RATE_WORDS = 'a rate such as 50MiB, or "off"'
_LIMIT_WORDS = 'a rate such as 50MiB, "off", or a timetable such as "08:00 5MiB, 23:00 off"'
_NUMBER = {"type": "integer", "minimum": LEAST, "maximum": units.LARGEST}


def limit() -> ValueType:
    """The type of a limit on bytes a second."""
    table = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "patternProperties": {rf"^\s*{TIME}\s*$": either(_NUMBER, _RATE)},
    }
    text = f"{_RATE}|{_CHANGE}(?:{_GAP}{_CHANGE})*,?"
    schema = either({"anyOf": [_NUMBER, table]}, text)
    return ValueType(_read, schema, write=format_limit, name="size a second, `off`, or a timetable")


def parse_limit(text: str) -> Timetable:
    """Parse a limit. Each argument of ``ValueError`` is a problem."""
    words = [word for word in re.split(_GAP, text) if word]
    if not any(":" in word for word in words):
        return timetable_of({0: _rate(text, _LIMIT_WORDS)})
    if ":" not in words[0]:
        raise expected(_LIMIT_WORDS, text)
    changes: list[list[str]] = []
    for word in words:
        if ":" in word:
            changes.append([])
        changes[-1].append(word)
    return _timetable((time, " ".join(rate)) for time, *rate in changes)


def format_limit(timetable: Timetable) -> str:
    """Format a limit, so that ``parse_limit`` reads the same."""
    rates = [(minute, _OFF if it is None else units.format_size(it)) for minute, it in timetable]
    if len(rates) <= 1:
        return rates[0][1] if rates else _OFF
    return ", ".join(f"{format_time(minute)} {rate}" for minute, rate in rates)


def _read(value: object, scope: ExpansionScope) -> Timetable:
    if isinstance(value, str):
        return parse_limit(scope.expand(value))
    if isinstance(value, dict) and value:
        return _timetable((time, _expanded(rate, scope)) for time, rate in value.items())
    return timetable_of({0: _rate(value, _LIMIT_WORDS)})


def _expanded(value: object, scope: ExpansionScope) -> object:
    return scope.expand(value) if isinstance(value, str) else value


def _timetable(changes: Iterable[tuple[str, object]]) -> Timetable:
    """Parse times and rates to a timetable, all problems at once."""
    rates: dict[int, int | None] = {}
    problems: list[str] = []
    for time, rate in changes:
        try:
            rates[_new(parse_time(time.strip()), rates)] = _rate(rate, _RATE_WORDS)
        except ValueError as error:
            problems.append(f"{toml_text(time)}: {error}")
    if problems:
        raise ValueError(*problems)
    return timetable_of(rates)


def _new(minute: int, rates: Container[int]) -> int:
    if minute in rates:
        raise ValueError("is there already; write it once")
    return minute


def _rate(value: object, words: str) -> int | None:
    """Parse a rate; None: unlimited. ``words``: what is expected."""
    if isinstance(value, str) and value.strip().lower() == _OFF:
        return None
    if type(value) is not int and not isinstance(value, str):
        raise expected(words, value)
    try:
        rate = units.parse_size(str(value))
    except ValueError:
        raise expected(words, value) from None
    if rate < LEAST:
        raise expected(f'at least {units.format_size(LEAST)} a second, or "off"', value)
    return rate
