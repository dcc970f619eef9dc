"""JSON Schema of the structures that the program encodes."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from msgspec import Struct

from artifact_sync.runtime.docstrings import docstrings_in

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(title: str, struct: type[Struct], example: object) -> dict[str, Any]:
    """Make the schema of an object, with descriptions from docstrings and an example.

    New members may come with a new version, so others are allowed; those that are always there are
    required.
    """
    [root], found = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    structs = _structs(struct)
    defs = {name: _told(found[name], structs.get(name)) for name in sorted(found)}
    return {"$schema": DIALECT, "title": title, **root, "$defs": defs, "examples": [example]}


def _structs(root: type[Struct]) -> dict[str, type[Struct]]:
    """A structure and all in it, by name."""
    found: dict[str, type[Struct]] = {}
    waiting: list[msgspec.inspect.Type] = [msgspec.inspect.type_info(root)]
    while waiting:
        match waiting.pop():
            case msgspec.inspect.StructType(cls=cls, fields=fields) if cls.__name__ not in found:
                found[cls.__name__] = cls
                waiting += [field.type for field in fields]
            case msgspec.inspect.UnionType(types=types):
                waiting += types
            case (
                msgspec.inspect.ListType(item_type=item)
                | msgspec.inspect.VarTupleType(item_type=item)
            ):
                waiting.append(item)
            case _:
                pass
    return found


def _told(schema: dict[str, Any], struct: type[Struct] | None) -> dict[str, Any]:
    """The schema of a structure as it is written: defaults are written, too."""
    if struct is None:  # an enum
        return {key: it for key, it in schema.items() if key in {"title", "enum"}}
    properties = schema["properties"]
    for name, it in properties.items():
        it.pop("default", None)
        it["description"] = _description(struct, name)
    left_out = _left_out(struct)
    return {
        "title": schema["title"],
        "type": "object",
        "description": _plain(struct.__doc__ or ""),
        "properties": properties,
        "required": [name for name in properties if name not in left_out],
    }


def _left_out(struct: type[Struct]) -> set[str]:
    """Members that are not always there."""
    fields = msgspec.structs.fields(struct)
    return {it.encode_name for it in fields if it.default is msgspec.UNSET}


def _description(struct: type[Struct], name: str) -> str:
    for cls in struct.__mro__:
        told = docstrings_in(sys.modules[cls.__module__]) if issubclass(cls, Struct) else {}
        if text := told.get(f"{cls.__name__}.{name}"):
            return _plain(text)
    return ""


def _plain(text: str) -> str:
    """A docstring on one line; what is None in Python is null in JSON."""
    return " ".join(text.split()).replace("``", "`").replace("None: ", "null: ")
