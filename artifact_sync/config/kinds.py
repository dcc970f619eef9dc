"""The kinds of values: how each is read, from TOML or from text, and its JSON Schema. No keys."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from artifact_sync import units

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from artifact_sync.config.expand import Scope

N = TypeVar("N", int, float)

_LONGEST_SHOWN = 60
_LARGEST_SHOWN = 10**18
_MOST_PER_SECOND = 1e6
_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")
_TOKEN_LIKE = re.compile(r"pv1_|eyJ[A-Za-z0-9_-]*\.")


def as_text(text: str) -> object:
    """An environment variable's text is the value itself."""
    return text


def as_number(text: str) -> object:
    """An environment variable's text as the number it spells, or as it is."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def as_list(text: str) -> object:
    """An environment variable's text as the words between its commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is written."""

    read: Callable[[object, Scope], Any]
    """A TOML value → the setting's value. ``ValueError``'s arguments each say something that is
    wrong, and what to do."""
    schema: Mapping[str, object]
    """The JSON Schema of the TOML value."""
    parse: Callable[[str], object] = as_text
    """The text of an environment variable → the TOML value that it stands for."""


def text(check: Callable[[str, Scope], Any], **schema: object) -> Kind:
    """A string that is expanded and then checked. An error does not repeat it."""

    def read(value: object, scope: Scope) -> Any:
        if not isinstance(value, str):
            msg = "expected a string in quotes"
            raise ValueError(msg)  # noqa: TRY004 - the contract of Kind.read
        expanded = scope.expand(value)
        if not expanded.strip():
            msg = "is empty; leave the key out instead"
            raise ValueError(msg)
        return check(expanded, scope)

    return Kind(read, {"type": "string", "minLength": 1, **schema})


def path() -> Kind:
    """A path, made absolute."""

    def check(value: str, scope: Scope) -> Path:
        if _TOKEN_LIKE.match(value):
            msg = "looks like a token; write the token into a file and name that file here"
            raise ValueError(msg)
        return scope.path(value)

    return text(check)


def choice(options: Collection[str], refused: Mapping[str, str] | None = None) -> Kind:
    """One of some words. ``refused``: known words, and for each why it cannot be chosen."""

    def check(value: str, _: Scope) -> str:
        if value in options:
            return value
        why = (refused or {}).get(value)
        msg = f"{shown(value)} {why or 'is not known'}; {_hint(value, options)}"
        raise ValueError(msg)

    return text(check, enum=sorted(options))


def whole(low: int, high: int) -> Kind:
    """A whole number within bounds."""

    def read(value: object, _: Scope) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _expected(f"a whole number from {low} to {high}", value)
        return value

    return Kind(read, {"type": "integer", "minimum": low, "maximum": high}, as_number)


def rate() -> Kind:
    """A number above zero, a second."""

    def read(value: object, _: Scope) -> float:
        if not _is_number(value) or not 0 < value <= _MOST_PER_SECOND:
            raise _expected(f"a number above 0 and at most {_MOST_PER_SECOND:.0f}", value)
        return float(value)

    bounds = {"exclusiveMinimum": 0, "maximum": _MOST_PER_SECOND}
    return Kind(read, {"type": "number", **bounds}, as_number)


def duration() -> Kind:
    """Seconds above zero: a number, or a text with units."""

    def read(value: object, scope: Scope) -> float:
        seconds = _measured(value, scope, units.parse_duration)
        if seconds <= 0:
            raise _expected("a duration above 0, such as 30s, 5m, 2h, 7d or 1w", value)
        return seconds

    return Kind(read, _either({"type": "number", "exclusiveMinimum": 0}, units.DURATION))


def size() -> Kind:
    """Bytes from zero on: a whole number, or a text with units."""

    def read(value: object, scope: Scope) -> int:
        if isinstance(value, float):
            raise _expected("a size such as 512, 100MiB or 1GB", value)
        return _measured(value, scope, units.parse_size)

    bounds = {"minimum": 0, "maximum": units.LARGEST}
    return Kind(read, _either({"type": "integer", **bounds}, units.SIZE))


def many(one: Kind) -> Kind:
    """A list of values of one kind."""

    def read(value: object, scope: Scope) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _expected('a list such as ["a", "b"]', value)
        items: list[Any] = []
        problems: list[str] = []
        for item in value:
            try:
                items.append(one.read(item, scope))
            except ValueError as error:
                problems.extend(error.args)
        if problems:
            raise ValueError(*problems)
        return tuple(items)

    return Kind(read, {"type": "array", "items": one.schema}, as_list)


def shown(value: object) -> str:
    """A value as a message repeats it: short, on one line, as TOML spells it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= _LARGEST_SHOWN:
        return "a very large number"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a table"
    if not isinstance(value, str):
        return str(value)
    short = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…"
    return json.dumps(short, ensure_ascii=not short.isprintable())


def bare(key: str) -> str:
    """A key as a message repeats it, in quotes unless it is a plain word."""
    return key if _BARE.fullmatch(key) else shown(key)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a mistyped word; empty when nothing known resembles it."""
    spelling = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), spelling, n=1)
    return f"did you mean {spelling[close[0]]}?" if close else ""


def _hint(word: str, options: Iterable[str]) -> str:
    return did_you_mean(word, options) or f"expected one of {', '.join(sorted(options))}"


def _measured(value: object, scope: Scope, parse: Callable[[str], N]) -> N:
    """A number as it is, or a text with units; the error repeats what was written."""
    try:
        if isinstance(value, str):
            return parse(scope.expand(value))
        return parse(f"{value:.6f}" if isinstance(value, float) else str(value))
    except ValueError as error:
        msg = f"{error}, got {shown(value)}"
        raise ValueError(msg) from None


def _either(number: Mapping[str, object], pattern: str) -> Mapping[str, object]:
    """A number, or a text of this form or with a ``${VAR}`` in it."""
    return {"anyOf": [number, {"type": "string", "pattern": rf"^\s*({pattern})\s*$|\$\{{"}]}


def _is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a finite number; TOML has ``inf``, ``nan`` and booleans, which are none."""
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))


def _expected(what: str, value: object) -> ValueError:
    return ValueError(f"expected {what}, got {shown(value)}")
