"""Reads scenario files in TOML, collecting all problems."""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import msgspec

from artifact_sync.domain.errors import ConfigError
from artifact_sync.runtime.units import parse_duration, parse_size
from artifact_sync.simulator.scenario import Scenario, problems_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def demo_text() -> str:
    """The TOML of the packaged scenario: a small organisation, ``acme``."""
    return resources.files(__package__).joinpath("demo.toml").read_text(encoding="utf-8")


def demo_scenario() -> Scenario:
    """The packaged scenario."""
    return parse_scenario(demo_text(), name="demo.toml")


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file; ``ConfigError`` has a line for each problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError([f"{path}: cannot be read: {why}"], path) from error
    return parse_scenario(text, name=str(path), path=path)


def parse_scenario(text: str, *, name: str, path: Path | None = None) -> Scenario:
    """Parse a scenario's TOML; ``name`` begins each line of a ``ConfigError``."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{name}: not TOML: {error}"], path) from error
    reader = _Reader()
    scenario = reader.struct(Scenario, raw, "")
    problems = reader.problems or problems_of(scenario)
    if problems:
        raise ConfigError([f"{name}: {problem}" for problem in problems], path)
    assert isinstance(scenario, Scenario)  # noqa: S101 - the reader had no complaint
    return scenario


class _Reader:
    """Builds structs from parsed TOML and collects problems, after which they are void."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def struct(self, kind: type[msgspec.Struct], raw: object, at: str) -> Any:
        """Build one struct from a table."""
        if not isinstance(raw, dict):
            return self._problem(at, f"expected a table, got {_word(raw)}")
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        before = len(self.problems)
        self._refuse_unknown(raw, fields, at)
        values = {}
        for key, field in fields.items():
            if key in raw:
                values[field.name] = self._value(field.type, raw[key], _join(at, key))
            elif field.required:
                self._problem(_join(at, key), "is missing")
        return None if len(self.problems) > before else kind(**values)

    def _refuse_unknown(self, raw: Mapping[str, object], known: Mapping[str, Any], at: str) -> None:
        for key in raw:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                self._problem(_join(at, key), f"is not a key here; {hint}")

    def _value(self, kind: Any, raw: object, at: str) -> Any:
        structs = _structs(kind)
        if get_origin(kind) is tuple and _structs(get_args(kind)[0]):
            return self._list(get_args(kind)[0], raw, at)
        if len(structs) == 1:
            return self.struct(structs[0], raw, at)
        if structs:
            return self._tagged(structs, raw, at)
        return self._plain(kind, raw, at)

    def _list(self, kind: Any, raw: object, at: str) -> Any:
        if not isinstance(raw, list):
            return self._problem(at, f"expected a list of tables, got {_word(raw)}")
        return tuple(self._value(kind, item, f"{at}[{n}]") for n, item in enumerate(raw))

    def _tagged(self, structs: Sequence[type[msgspec.Struct]], raw: object, at: str) -> Any:
        if not isinstance(raw, dict):
            return self._problem(at, f"expected a table, got {_word(raw)}")
        kinds = {str(struct.__struct_config__.tag): struct for struct in structs}
        kind = raw.get("kind")
        if not isinstance(kind, str) or kind not in kinds:
            return self._problem(_join(at, "kind"), f"expected one of {', '.join(kinds)}")
        rest = {key: value for key, value in raw.items() if key != "kind"}
        return self.struct(kinds[kind], rest, at)

    def _plain(self, kind: Any, raw: object, at: str) -> Any:
        try:
            return msgspec.convert(_without_unit(kind, raw), kind)
        except (msgspec.ValidationError, ValueError) as error:
            return self._problem(at, str(error).partition(" - at `$")[0])

    def _problem(self, at: str, what: str) -> None:
        self.problems.append(f"{at}: {what}" if at else what)


def _structs(kind: Any) -> tuple[type[msgspec.Struct], ...]:
    """The struct that a type is, or the members of a union."""
    if get_origin(kind) in (Union, UnionType):
        return tuple(struct for part in get_args(kind) for struct in _structs(part))
    return (kind,) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else ()


def _without_unit(kind: Any, raw: object) -> object:
    """Convert ``24MiB`` to a number where the type is a size or duration."""
    unit = _unit(kind)
    if unit is None or not isinstance(raw, str):
        return raw
    return parse_size(raw) if unit == "bytes" else parse_duration(raw)


def _unit(kind: Any) -> str | None:
    if get_origin(kind) in (Union, UnionType):
        return next((_unit(part) for part in get_args(kind) if part is not NoneType), None)
    if get_origin(kind) is not Annotated:
        return None
    extra: dict[str, str] = kind.__metadata__[0].extra or {}
    return extra.get("unit")


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _word(raw: object) -> str:
    return {str: "text", list: "a list", bool: "a boolean"}.get(type(raw), type(raw).__name__)
