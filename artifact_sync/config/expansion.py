"""``~``, ``${VAR}`` and relative paths in values. Which values are paths is ``keys``' to say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOLLAR = re.compile(r"\$(?:\$|\{([^}]*)\})")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


class ExpansionScope(Struct, frozen=True):
    """What a value's meaning depends on: the environment, and the folder that it is relative to."""

    environ: Mapping[str, str]
    folder: Path

    def expand(self, text: str) -> str:
        """``${VAR}`` replaced and ``$$`` made ``$``; ``ValueError`` names a variable not set."""
        return _DOLLAR.sub(self._replace, text)

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
        """An absolute path: ``~`` is the home folder, a relative one begins at our folder."""
        if "\0" in text:
            msg = "a path cannot hold a NUL character"
            raise ValueError(msg)
        return self.folder.absolute() / home(Path(text), self.environ)


def home(path: Path, environ: Mapping[str, str]) -> Path:
    """The path with a leading ``~`` or ``~user`` replaced, ``$HOME`` going first."""
    head, *rest = path.parts or ("",)
    if head == "~" and environ.get("HOME"):
        return Path(environ["HOME"], *rest)
    try:
        return path.expanduser()
    except RuntimeError:
        msg = f"no home folder is known for {head}; write the whole path"
        raise ValueError(msg) from None
