"""Names of the package occur once, so that a search finds the one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import artifact_sync

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(artifact_sync.__file__).parent
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def public(*kinds: type[ast.AST]) -> Iterator[tuple[str, str]]:
    """Each public definition at the top of a module: its name and the module's path."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, kinds) and not node.name.startswith("_"):
                yield node.name, path.relative_to(PACKAGE).as_posix()


def repeated(*kinds: type[ast.AST]) -> dict[str, list[str]]:
    places = defaultdict(list)
    for name, place in public(*kinds):
        places[name].append(place)
    return {name: found for name, found in places.items() if len(found) > 1}


def test_no_two_public_classes_have_one_name() -> None:
    assert repeated(ast.ClassDef) == {}


def test_no_two_public_functions_have_one_name() -> None:
    found = repeated(*FUNCTIONS)
    commands = found.pop("command")  # each file in cli/commands/ has its own
    assert {Path(place).parent.as_posix() for place in commands} == {"cli/commands"}
    assert found == {}


def test_two_modules_of_one_name_lie_in_packages_that_tell_them_apart() -> None:
    """Beside each other in one package, or below folders of one name, they could not be."""
    places = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        if path.stem != "__init__":
            places[path.parent.name, path.stem].add(path.relative_to(PACKAGE).as_posix())
    assert {key: found for key, found in places.items() if len(found) > 1} == {}
