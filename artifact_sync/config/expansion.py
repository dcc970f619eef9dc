"""Expands ``~``, ``${VAR}`` and relative paths in values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOLLAR = r"\$(?:\$|\{([^}]*)\})"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


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
        if not re.fullmatch(_NAME, name):
            msg = f"${{{name}}} is no variable's name; write $$ for a dollar sign"
            raise ValueError(msg)
        if name not in self.environ:
            msg = (
                f"the environment variable {name} is not set; set it, or write $${{ for a plain ${{"
            )
            raise ValueError(msg)
        return self.environ[name]

    def path(self, text: str) -> Path:
        """Make a path absolute, from the base folder or, for ``~``, from home."""
        if "\0" in text:
            msg = "a path cannot hold a NUL character"
            raise ValueError(msg)
        return self.folder.absolute() / expand_home(Path(text), self.environ)


def expand_home(path: Path, environ: Mapping[str, str]) -> Path:
    """Replace a leading ``~``, by ``$HOME`` if it is set, or ``~user``."""
    head, *rest = path.parts or ("",)
    if head == "~" and environ.get("HOME"):
        return Path(environ["HOME"], *rest)
    try:
        return path.expanduser()
    except RuntimeError:
        msg = f"no home folder is known for {head}; write the whole path"
        raise ValueError(msg) from None
