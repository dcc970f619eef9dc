"""The effective configuration as TOML that reads back the same, passwords aside. Prints nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifact_sync.config.keys import SECTIONS
from artifact_sync.config.urls import masked
from artifact_sync.units import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import msgspec

    from artifact_sync.config.load import Loaded

_WRITTEN_AS: Mapping[str, Callable[[Any], str]] = {
    "since": format_duration,
    "timeout": format_duration,
    "min_free": format_size,
}


def as_toml(loaded: Loaded, token: str) -> str:
    """TOML with a comment a key saying where it comes from. ``token``: what to say of the token."""
    config, origins = loaded.config, loaded.origins
    lines = [f"# {'no file: defaults' if config.path is None else one_line(str(config.path))}"]
    lines += [f"# token: {one_line(token)}"]
    for name in SECTIONS:
        lines += ["", f"[{name}]", *_lines(getattr(config, name), name, origins)]
    for repo in config.repo:
        lines += ["", "[[repo]]", *_lines(repo, f"repo.{repo.name}", origins)]
    return "\n".join(lines) + "\n"


def _lines(settings: msgspec.Struct, prefix: str, origins: Mapping[str, str]) -> Iterator[str]:
    for key in settings.__struct_fields__:
        value = getattr(settings, key)
        origin = one_line(origins.get(f"{prefix}.{key}", "default"))
        yield (
            f"{key} = {_value(key, value)}  # {origin}"
            if value is not None
            else f"# {key}: not set"
        )


def _value(key: str, value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_string(item) for item in value)}]"
    if isinstance(value, (str, Path)):
        return _string(masked(str(value)))
    if key in _WRITTEN_AS and isinstance(value, (int, float)):
        return _string(_WRITTEN_AS[key](value))
    return str(value)


def _string(text: str) -> str:
    """A basic string of TOML; a dollar sign is doubled, as reading undoubles it."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=not text.isprintable())


def one_line(text: str) -> str:
    """Text for a comment, in which TOML allows no control characters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
