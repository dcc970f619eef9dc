"""The effective configuration as TOML that reads back the same, passwords aside. Prints nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from artifact_sync.config.keys import REPO, SECTIONS
from artifact_sync.config.urls import masked
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import msgspec

    from artifact_sync.config.keys import Section
    from artifact_sync.config.load import Loaded


def as_toml(loaded: Loaded, token: str) -> str:
    """Render TOML with the origin of each key. ``token``: a remark on the token."""
    config = loaded.config
    lines = [f"# {'no file: defaults' if config.path is None else printable(str(config.path))}"]
    lines += [f"# token: {printable(token)}"]
    for name, section in SECTIONS.items():
        lines += ["", f"[{name}]", *_lines(getattr(config, name), section, name, loaded)]
    for repo in config.repo:
        lines += ["", "[[repo]]", *_lines(repo, REPO, f"repo.{repo.name}", loaded)]
    return "\n".join(lines) + "\n"


def _lines(
    settings: msgspec.Struct, section: Section, prefix: str, loaded: Loaded
) -> Iterator[str]:
    for key, kind in section.keys.items():
        value = getattr(settings, key)
        if value is None:
            yield f"# {key}: not set"
        else:
            written = kind.write(value)
            shown = masked(written) if isinstance(written, str) else written
            origin = printable(loaded.origins.get(f"{prefix}.{key}", "default"))
            yield f"{key} = {_value(shown)}  # {origin}"


def _value(value: object) -> str:
    """A value as TOML spells it."""
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _string(value) if isinstance(value, str) else str(value)


def _string(text: str) -> str:
    """A basic string of TOML, dollar signs doubled."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=not text.isprintable())
