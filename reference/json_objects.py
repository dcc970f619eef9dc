"""The page of JSON objects, and a file of JSON Schema for each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from artifact_sync.cli.get_answer import GetAnswer
from artifact_sync.cli.json_objects import (
    AdoptAnswer,
    CheckAnswer,
    DisplacedAnswer,
    HooksAnswer,
    ListAnswer,
    MoveAnswer,
    PinsAnswer,
    PruneAnswer,
    SyncAnswer,
    UsageAnswer,
    VerifyAnswer,
)
from artifact_sync.cli.run_answer import ShowAnswer
from artifact_sync.cli.why_answer import WhyAnswer
from artifact_sync.config.render import json_schema
from artifact_sync.domain.status import StatusAnswer
from artifact_sync.mirror.run_document import RunDocument
from reference import examples
from reference.markdown import block, code, table
from reference.markdown import page as whole
from reference.schemas import schema_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class JsonObject(Struct, frozen=True):
    """An object that the program writes."""

    file: str
    """Of its schema, without the ending."""
    title: str
    about: str
    struct: type[Struct]
    example: Callable[[], Any]

    @property
    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        return schema_of(self.title, self.struct, self.example())


OBJECTS = (
    JsonObject(
        "sync",
        "sync --json",
        "One line on stdout, also when the pass could not begin.",
        SyncAnswer,
        examples.sync,
    ),
    JsonObject(
        "sync-dry-run",
        "sync --dry-run --json",
        "The same with a `plan`. Nothing is downloaded; the exit code is 1 if anything would be.",
        SyncAnswer,
        examples.dry_run,
    ),
    JsonObject(
        "status",
        "status --json",
        "One line on stdout; `/api/status` answers with the same.",
        StatusAnswer,
        examples.status,
    ),
    JsonObject("ls", "ls --json", "One line on stdout.", ListAnswer, examples.ls),
    JsonObject(
        "verify",
        "verify --json",
        "One line on stdout. `failures` is there with `--repair` only.",
        VerifyAnswer,
        examples.verify,
    ),
    JsonObject(
        "adopt",
        "adopt --json",
        "One line on stdout, also where it could not begin.",
        AdoptAnswer,
        examples.adopt,
    ),
    JsonObject(
        "move",
        "move --json",
        "One line on stdout, also of a mistake.",
        MoveAnswer,
        examples.move,
    ),
    JsonObject(
        "get",
        "get --json",
        "One line on stdout, also of a mistake.",
        GetAnswer,
        examples.get,
    ),
    JsonObject(
        "why",
        "why --json",
        "One line on stdout, also of a mistake.",
        WhyAnswer,
        examples.why,
    ),
    JsonObject(
        "du",
        "du --json",
        "One line on stdout.",
        UsageAnswer,
        examples.du,
    ),
    JsonObject(
        "prune",
        "prune --json",
        "One line on stdout; `--plan FILE` writes the same to a file, which `--apply` reads.",
        PruneAnswer,
        examples.prune,
    ),
    JsonObject(
        "pins",
        "pins --json",
        "One line on stdout, also of `pin` and `unpin`.",
        PinsAnswer,
        examples.pins,
    ),
    JsonObject(
        "displaced",
        "displaced --json",
        "One line on stdout, of `displaced list`, `displaced restore` and `displaced empty`, also "
        "of a mistake.",
        DisplacedAnswer,
        examples.displaced,
    ),
    JsonObject(
        "hooks",
        "hooks --json",
        "One line on stdout, of `hooks`, `hooks retry` and `hooks drop`, also of a mistake.",
        HooksAnswer,
        examples.hooks,
    ),
    JsonObject(
        "config-check",
        "config check --json",
        "One object on stdout, on several lines.",
        CheckAnswer,
        examples.config_check,
    ),
    JsonObject(
        "run",
        "run.json",
        "A file beside the files of a complete run, in UTF-8, with sorted keys.",
        RunDocument,
        examples.run_document,
    ),
    JsonObject(
        "show",
        "show --json",
        "One line on stdout, also of a mistake. `run` has the members of `run.json`, see there.",
        ShowAnswer,
        examples.show,
    ),
)

_ABOUT = """\
Each object has a JSON Schema with an example; a test validates what the program prints by it. A
member keeps its name, its type and its meaning. New members may come with a new version, so take
no notice of those that you do not know. Members that are not always there are marked as
optional."""


def page() -> str:
    """Make the page."""
    return whole("JSON", _ABOUT, *(text for it in OBJECTS for text in _section(it)), _LAST)


_LAST = """\
## config schema

`artifact-sync config schema` prints the [schema of the
configuration](schemas/configuration.json)."""


def schema_files() -> Iterator[tuple[str, str]]:
    """Name and text of each schema."""
    for it in OBJECTS:
        yield it.file, _dumped(it.schema)
    yield "configuration", _dumped(json_schema())


def _section(it: JsonObject) -> Iterator[str]:
    schema = it.schema
    yield f"## {it.title}"
    yield f"{it.about} [Schema](schemas/{it.file}.json)."
    yield block(json.dumps(schema["examples"][0], indent=2, ensure_ascii=False), "json")
    root = schema["$ref"].rpartition("/")[2]
    if it is not OBJECTS[1]:  # its members are those of the one before
        defs = {root: schema["$defs"][root]} if it.struct is ShowAnswer else schema["$defs"]
        yield from _members(defs, root)


def _members(defs: dict[str, Any], root: str) -> Iterator[str]:
    for name in [root, *(name for name in defs if name != root)]:
        if "properties" in defs[name]:
            told = defs[name]
            yield f"`{name}`: {told['description']}"
            yield table(["member", "type", "meaning"], _rows(told))


def _rows(told: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, schema in told["properties"].items():
        optional = "" if name in told["required"] else ", optional"
        yield code(name), _type(schema) + optional, schema["description"]


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return code(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(it) for it in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(code(str(it)) for it in schema["enum"])
    if schema["type"] == "array":
        return f"array of {_type(schema['items'])}"
    return str(schema["type"])


def _dumped(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
