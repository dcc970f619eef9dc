"""Types of values: expanding, reading, checking, writing, JSON Schema."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from artifact_sync.runtime import units

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

N = TypeVar("N", int, float)

_LONGEST_SHOWN = 60
_LARGEST_SHOWN = 10**18
_MOST_PER_SECOND = 1e6
_TRUTH = MappingProxyType(
    {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
)
_OFF = "off"
_DOLLAR = r"\$(?:\$|\{([^}]*)\})"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_BARE = r"[A-Za-z0-9_-]{1,60}"
_SHARE = r"(?:100(?:\.0+)?|[0-9]{1,2}(?:\.[0-9]{1,3})?)\s*%"
_LIKE_A_CREDENTIAL = r"pv1_|eyJ[A-Za-z0-9_-]*\."


def as_number(text: str) -> object:
    """Take a variable's text as a number, or as it is."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def as_truth(text: str) -> object:
    """Take a variable's text as a boolean, or as it is."""
    return _TRUTH.get(text.lower(), text)


def as_list(text: str) -> object:
    """Split a variable's text at commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def as_table(text: str) -> object:
    """Take a variable's text as an inline table; braces may be left out."""
    import tomllib  # noqa: PLC0415 - hardly ever

    inner = text.strip().removeprefix("{").removesuffix("}")
    try:
        return tomllib.loads(f"table = {{{inner}}}")["table"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def as_it_is(value: Any) -> object:
    """Take a variable's text, or a value that TOML has, as the value."""
    return value


class ExpansionScope(Struct, frozen=True):
    """Environment and base folder by which values are expanded."""

    environ: Mapping[str, str]
    folder: Path

    def expand(self, text: str) -> str:
        """Replace ``${VAR}``, and ``$$`` by ``$``. ``ValueError`` names an unset variable."""
        return re.sub(_DOLLAR, self._replace, text) if "$" in text else text

    def _replace(self, match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        if not re.fullmatch(_VARIABLE, name):
            raise ValueError(f"${{{name}}} is no variable's name; write $$ for a dollar sign")
        if name not in self.environ:
            raise ValueError(
                f"the environment variable {name} is not set; set it, or write $${{ for a plain ${{"
            )
        return self.environ[name]

    def path(self, text: str) -> Path:
        """Make a path absolute, from the base folder or, for ``~``, from home."""
        if "\0" in text:
            raise ValueError("a path cannot hold a NUL character")
        return self.folder.absolute() / expand_home(Path(text), self.environ)


def expand_home(path: Path, environ: Mapping[str, str]) -> Path:
    """Replace a leading ``~``, by ``$HOME`` or the account's home, or ``~user``. ``ValueError``.

    A ``$HOME`` that is empty or relative counts as unset: it would mean another folder each time.
    """
    head, *rest = path.parts or ("",)
    home = Path(environ.get("HOME", ""))
    if head == "~" and os.name == "posix":
        return (home if home.is_absolute() else _account_home()).joinpath(*rest)
    try:
        return path.expanduser()
    except RuntimeError:
        shown = head if head.isprintable() else repr(head)
        raise ValueError(f"no home folder is known for {shown}; write the whole path") from None


def _account_home() -> Path:
    import pwd  # noqa: PLC0415 - Unix only, and seldom needed

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise ValueError("no home folder is known for ~; write the whole path") from None


class ValueType(Struct, frozen=True):
    """Type of a value: how it is read and written."""

    read: Callable[[object, ExpansionScope], Any]
    """Converts a TOML value to the setting's. Each argument of ``ValueError`` is a problem with its
    remedy."""
    schema: Mapping[str, object]
    """JSON Schema of the TOML value."""
    parse: Callable[[str], object] = as_it_is
    """Converts a variable's text to a TOML value."""
    write: Callable[[Any], object] = as_it_is
    """Converts the setting's value to a TOML value."""
    name: str = "text"
    """What the reference calls the type."""
    show: Callable[[object], object] = as_it_is
    """Hides what nobody should see of a TOML value."""


def text(check: Callable[[str], Any] = str, name: str = "text", **schema: object) -> ValueType:
    """A string, expanded and then checked. An error does not quote it."""
    return scoped_text(lambda value, _: check(value), as_it_is, name, **schema)


def scoped_text(
    check: Callable[[str, ExpansionScope], Any],
    write: Callable[[Any], object] = as_it_is,
    name: str = "text",
    **schema: object,
) -> ValueType:
    """A ``text`` whose check needs the base folder or the environment."""

    def read(value: object, scope: ExpansionScope) -> Any:
        if not isinstance(value, str):
            raise ValueError("expected a string in quotes")  # noqa: TRY004 - ValueType.read's contract
        expanded = scope.expand(value)
        if not expanded.strip():
            raise ValueError("is empty; leave the key out instead")
        return check(expanded, scope)

    return ValueType(read, {"type": "string", "minLength": 1, **schema}, write=write, name=name)


def path() -> ValueType:
    """A path, made absolute."""
    return scoped_text(checked_path, str, "path")


def checked_path(value: str, scope: ExpansionScope) -> Path:
    """A path, absolute. ``ValueError`` for what looks like a token."""
    if re.match(_LIKE_A_CREDENTIAL, value):
        raise ValueError("looks like a token; write the token into a file and name that file here")
    return scope.path(value)


def command_line() -> ValueType:
    """A program and its arguments; one with a slash is a path, made absolute."""

    def read(value: object, scope: ExpansionScope) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError('expected a list such as ["program", "argument"]; no shell is called')
        words = [_word(item, scope) for item in value]
        program = words[0]
        if "/" in program or program.startswith("~"):
            program = str(scope.path(program))
        return (program, *words[1:])

    schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    return ValueType(read, schema, as_list, list, "list: program, arguments")


def _word(value: object, scope: ExpansionScope) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("expected strings in quotes, without NUL characters")
    return scope.expand(value)


def truth() -> ValueType:
    """True or false."""

    def read(value: object, _: ExpansionScope) -> bool:
        if not isinstance(value, bool):
            raise expected("true or false", value)
        return value

    return ValueType(read, {"type": "boolean"}, as_truth, name="`true` or `false`")


def choice(options: Collection[str], refused: Mapping[str, str] | None = None) -> ValueType:
    """One of some words. ``refused``: other words, and why they are refused."""

    def check(value: str) -> str:
        if value in options:
            return value
        why = (refused or {}).get(value, "is not known")
        hint = did_you_mean(value, options) or f"expected one of {', '.join(sorted(options))}"
        raise ValueError(f"{toml_text(value)} {why}; {hint}")

    return text(check, " or ".join(f"`{it}`" for it in sorted(options)), enum=sorted(options))


def integer(low: int, high: int) -> ValueType:
    """A whole number within bounds."""

    def read(value: object, _: ExpansionScope) -> int:
        if type(value) is not int or not low <= value <= high:
            raise expected(f"a whole number from {low} to {high}", value)
        return value

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return ValueType(read, schema, as_number, name=f"whole number, {low} to {high}")


def above_zero(seconds: float) -> None:
    """Raise ``ValueError`` for zero and less."""
    if seconds <= 0:
        raise ValueError("expected a duration above 0, such as 30s, 5m, 2h, 7d or 1w")


def or_number(one: ValueType, low: int, high: int) -> ValueType:
    """A text that may also be written as a whole number within bounds."""

    def read(value: object, scope: ExpansionScope) -> Any:
        return one.read(str(value) if type(value) is int else value, scope)

    number = {"type": "integer", "minimum": low, "maximum": high}
    return ValueType(read, {"anyOf": [number, one.schema]}, write=one.write, name=one.name)


def rate() -> ValueType:
    """A number above zero, per second."""

    def read(value: object, _: ExpansionScope) -> float:
        if (
            not (type(value) is int or isinstance(value, float))
            or not 0 < value <= _MOST_PER_SECOND
        ):
            raise expected(f"a number above 0 and at most {_MOST_PER_SECOND:.0f}", value)
        return float(value)

    bounds = {"exclusiveMinimum": 0, "maximum": _MOST_PER_SECOND}
    name = f"number above 0, at most {_MOST_PER_SECOND:,.0f}"
    return ValueType(read, {"type": "number", **bounds}, as_number, name=name)


def parse_share(text: str) -> float:
    """Parse ``25%``. ``ValueError`` says what was expected."""
    if not re.fullmatch(_SHARE, text.strip()):
        raise ValueError(f'expected a share from "0%" to "100%", got {toml_text(text)}')
    return float(text.strip()[:-1]) / 100


def share() -> ValueType:
    """A share, such as ``"25%"``."""
    return scoped_text(
        lambda value, _: parse_share(value),
        lambda it: f"{round(it * 100, 3):g}%",
        "share, such as `25%`",
        pattern=rf"^\s*({_SHARE})\s*$|\$\{{",
    )


def inline_table(
    check: Callable[[Mapping[str, object], ExpansionScope], Any],
    write: Callable[[Any], object],
    keys: Mapping[str, ValueType],
) -> ValueType:
    """An inline table of some keys."""

    def read(value: object, scope: ExpansionScope) -> Any:
        if not isinstance(value, dict):
            raise expected("a table such as { last = 20 }", value)
        return check(value, scope)

    properties = {key: kind.schema for key, kind in keys.items()}
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return ValueType(read, schema, as_table, write, f"table: {', '.join(keys)}")


def duration(check: Callable[[float], None] = above_zero, **bounds: object) -> ValueType:
    """Seconds: a number, or a text with units.

    ``check`` raises ``ValueError`` for what is too short or too long, as ``bounds`` tell in the
    words of JSON Schema.
    """

    def read(value: object, scope: ExpansionScope) -> float:
        return _measured(value, scope, units.parse_duration, check)

    number = {"type": "number", **(bounds or {"exclusiveMinimum": 0})}
    schema = either(number, units.DURATION)
    return ValueType(read, schema, write=units.format_duration, name="duration")


def byte_size(low: int = 0, high: int = units.LARGEST) -> ValueType:
    """Bytes within bounds: a whole number, or a text with units."""

    def check(value: int) -> None:
        if not low <= value <= high:
            ends = f"{units.format_size(low)} to {units.format_size(high)}"
            raise ValueError(f"expected a size from {ends}")

    def read(value: object, scope: ExpansionScope) -> int:
        if isinstance(value, float):
            raise expected("a size such as 512, 100MiB or 1GB", value)
        return _measured(value, scope, units.parse_size, check)

    number = {"type": "integer", "minimum": low, "maximum": high}
    schema = either(number, units.SIZE)
    return ValueType(read, schema, write=units.format_size, name="size")


def or_off(one: ValueType) -> ValueType:
    """A number above zero, or ``"off"``, which is 0."""

    def read(value: object, scope: ExpansionScope) -> Any:
        is_off = isinstance(value, str) and scope.expand(value).strip().lower() == _OFF
        return 0 if is_off else one.read(value, scope)

    def write(value: Any) -> object:
        return one.write(value) if value else _OFF

    schema = {"anyOf": [one.schema, {"type": "string", "pattern": r"^\s*[oO][fF][fF]\s*$"}]}
    return ValueType(read, schema, one.parse, write, f"{one.name}, or `off`")


def many(one: ValueType) -> ValueType:
    """A list of values of one type."""

    def read(value: object, scope: ExpansionScope) -> tuple[Any, ...]:
        if isinstance(value, str):  # not repeated: it may be a secret in the place of its file
            problem = 'expected a list such as ["a", "b"], got a string'
            raise ValueError(problem)  # noqa: TRY004 - the contract of ValueType.read
        if not isinstance(value, list):
            raise expected('a list such as ["a", "b"]', value)
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

    def write(values: Iterable[Any]) -> list[object]:
        return [one.write(value) for value in values]

    schema = {"type": "array", "items": one.schema}
    return ValueType(read, schema, as_list, write, f"list, each: {one.name}")


def toml_text(value: object) -> str:
    """Quote a value in a message: short, on one line, as in TOML."""
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


def either(other: Mapping[str, object], pattern: str) -> Mapping[str, object]:
    """JSON Schema of another type, or of a text that matches or holds ``${VAR}``."""
    return {"anyOf": [other, {"type": "string", "pattern": rf"^\s*({pattern})\s*$|\$\{{"}]}


def expected(what: str, value: object) -> ValueError:
    """Make the error of a value that is not what was expected."""
    return ValueError(f"expected {what}, got {toml_text(value)}")


def bare(key: str) -> str:
    """Quote a key in a message, unless it is a plain word."""
    return key if re.fullmatch(_BARE, key) else toml_text(key)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a mistyped word; empty when no known word resembles it."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for this answer

    spelling = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), spelling, n=1)
    return f"did you mean {spelling[close[0]]}?" if close else ""


def _measured(
    value: object, scope: ExpansionScope, parse: Callable[[str], N], check: Callable[[N], None]
) -> N:
    """Parse a number, or a text with units. The error quotes what was written."""
    written = f"{value:.6f}" if isinstance(value, float) else str(value)
    try:
        parsed = parse(scope.expand(value) if isinstance(value, str) else written)
        check(parsed)
    except ValueError as error:
        raise ValueError(f"{error}, got {toml_text(value)}") from None
    return parsed
