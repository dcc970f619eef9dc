"""Shows the configuration: its values as TOML, its keys as JSON Schema. Prints nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from artifact_sync.config.keys import HOOK, REPO, SECTIONS
from artifact_sync.config.urls import masked
from artifact_sync.domain import settings as all_settings
from artifact_sync.domain.hooks import hook_name
from artifact_sync.runtime.docstrings import docstrings_in
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import msgspec

    from artifact_sync.config.keys import Section
    from artifact_sync.config.load import Loaded


def as_toml(loaded: Loaded, token: str) -> str:
    """Render TOML with the origin of each key; it reads back the same.

    ``token``: a remark on the token.
    """
    config = loaded.config
    lines = [f"# {'no file: defaults' if config.path is None else printable(str(config.path))}"]
    lines += [f"# token: {printable(token)}"]
    for name, section in SECTIONS.items():
        lines += ["", f"[{name}]", *_lines(getattr(config, name), section, name, loaded)]
    for repo in config.repo:
        lines += ["", "[[repo]]", *_lines(repo, REPO, f"repo.{repo.name}", loaded)]
    for hook in config.hook:
        lines += ["", "[[hook]]", *_lines(hook, HOOK, f"hook.{hook_name(hook)}", loaded)]
    return "\n".join(lines) + "\n"


def _lines(
    settings: msgspec.Struct, section: Section, prefix: str, loaded: Loaded
) -> Iterator[str]:
    for key, kind in section.keys.items():
        value = getattr(settings, key)
        if value is None:
            yield f"# {key}: not set"
        else:
            written = kind.show(kind.write(value))
            shown = masked(written) if isinstance(written, str) else written
            origin = printable(loaded.origins.get(f"{prefix}.{key}", "default"))
            yield f"{key} = {_value(shown)}  # {origin}"


def _value(value: object) -> str:
    """A value as TOML spells it, dollar signs doubled."""
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_value(it)}' for key, it in value.items())} }}"
    if isinstance(value, str):
        return json.dumps(value.replace("$", "$$"), ensure_ascii=not value.isprintable())
    return str(value).lower() if isinstance(value, bool) else str(value)


def json_schema() -> dict[str, Any]:
    """Make the schema of a configuration file, with descriptions from docstrings."""
    descriptions = docstrings_in(all_settings)
    tables = {name: _table(section, descriptions) for name, section in SECTIONS.items()}
    repo, hook = _table(REPO, descriptions), _table(HOOK, descriptions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "artifact-sync configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **tables,
            "repo": {"type": "array", "items": repo},
            "hook": {"type": "array", "items": hook},
        },
    }


def _table(section: Section, descriptions: Mapping[str, str]) -> dict[str, Any]:
    name = section.settings.__name__
    properties = {}
    for key, kind in section.keys.items():
        default = section.defaults.get(key)
        written = {} if default is None else {"default": kind.write(default)}
        description = descriptions.get(f"{name}.{key}", "")
        properties[key] = {**kind.schema, **written, "description": description}
    return {
        "type": "object",
        "description": descriptions.get(name, ""),
        "additionalProperties": False,
        "required": sorted(section.keys.keys() - section.defaults.keys()),
        "properties": properties,
    }
