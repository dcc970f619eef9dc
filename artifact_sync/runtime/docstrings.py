"""Reads the docstrings of fields and of enum members.

Python keeps none of them.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType


@cache
def docstrings_in(module: ModuleType) -> Mapping[str, str]:
    """Docstrings of classes by ``Class``, and of their fields by ``Class.field``.

    The source is asked; without it there are none.
    """
    try:
        tree = ast.parse(inspect.getsource(module))
    except OSError:
        return {}
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = ast.get_docstring(node) or ""
            found |= {f"{node.name}.{field}": text for field, text in _of_fields(node)}
    return found


def _of_fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for pair in pairwise(node.body):
        match pair:
            case (
                ast.AnnAssign(target=ast.Name(field)) | ast.Assign(targets=[ast.Name(field)]),
                ast.Expr(ast.Constant(str(text))),
            ):
                yield field, inspect.cleandoc(text)
