"""Makes the JSON Schema of the configuration, for editors."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any

from artifact_sync.config.keys import REPO, SECTIONS
from artifact_sync.domain import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.config.keys import Section
    from artifact_sync.config.value_types import ValueType

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Make the schema of a configuration file, with descriptions from docstrings."""
    descriptions = _descriptions()
    tables = {name: _table(section, descriptions) for name, section in SECTIONS.items()}
    repo = _table(REPO, descriptions)
    return {
        "$schema": _DIALECT,
        "title": "artifact-sync configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": {**tables, "repo": {"type": "array", "items": repo}},
    }


def _table(section: Section, descriptions: Mapping[str, str]) -> dict[str, Any]:
    name = section.settings.__name__
    required = sorted(section.keys.keys() - section.defaults.keys())
    return {
        "type": "object",
        "description": descriptions.get(name, ""),
        "additionalProperties": False,
        "required": required,
        "properties": {
            key: {
                **kind.schema,
                **_default(kind, section.defaults.get(key)),
                "description": descriptions.get(f"{name}.{key}", ""),
            }
            for key, kind in section.keys.items()
        },
    }


def _default(kind: ValueType, default: object) -> dict[str, object]:
    return {} if default is None else {"default": kind.write(default)}


def _descriptions() -> dict[str, str]:
    """Docstrings of the settings: by ``Class``, and of fields by ``Class.field``.

    Python keeps none of the latter, so the source is asked; without it there are none.
    """
    try:
        module = ast.parse(inspect.getsource(settings))
    except OSError:
        return {}
    found = {}
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = ast.get_docstring(node) or ""
            found |= {f"{node.name}.{field}": text for field, text in _field_docs(node)}
    return found


def _field_docs(node: ast.ClassDef) -> list[tuple[str, str]]:
    """(field, the string that follows it) of a class."""
    return [
        (field.target.id, inspect.cleandoc(text.value.value))
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]
