"""The pages that people read, and their blocks of commands, configuration and code.

What a block is tested as stands in a line before it:

``<!-- tested -->``
    ``console``: each line behind ``$`` is executed, and what follows is what it prints. A command
    that ends with a backslash goes on in the next line, as does one whose next line begins with
    ``>``. ``sh``: executed as it stands. ``python``: run as a program.
``<!-- written as PATH -->``
    The block is the content of a file, from here on.
``<!-- tested in a box: NAME -->``
    Executed as root under a systemd of its own, by test_systemd.py.
``<!-- tested by FILE -->``
    That test has it.
``<!-- not tested: WHY -->``
    Nothing executes it.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[1]

_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<mark>[^\n]*?) -->\n+(?P=indent))?"
    r"(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_COMMAND = re.compile(r"^\$ (?P<text>(?:.*\\\n)*.*(?:\n> .*|\n>$)*)\n?", re.MULTILINE)
_LONG = ("docs/decisions", "docs/reference", "CHANGELOG.md")
"""Pages, and folders of them, that nobody reads from one end to the other."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    mark: str
    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A command of a page, and what the page says that it prints."""

    text: str
    shown: str


@dataclass(frozen=True)
class Page:
    """A page, by its path in the repository."""

    name: str

    @property
    def text(self) -> str:
        return (REPOSITORY / self.name).read_text(encoding="utf-8")

    @property
    def words(self) -> int:
        return len(self.text.split())

    @property
    def is_long(self) -> bool:
        """Whether it may have as many words as it takes."""
        return self.name.startswith(_LONG)

    def blocks(self) -> Iterator[Block]:
        """All fenced blocks, in their order."""
        text = self.text
        for found in _BLOCK.finditer(text):
            mark, language = found["mark"] or "", found["language"]
            line = text.count("\n", 0, found.start("fence")) + 1
            yield Block(mark, language, textwrap.dedent(found["text"]), line)

    def tested(self, *languages: str) -> list[Block]:
        """The blocks that are marked as tested."""
        return [it for it in self.blocks() if it.mark == "tested" and it.language in languages]


def pages() -> list[Page]:
    """README.md, what stands beside it, and all of docs."""
    found = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("systemd/*.md")]
    found += REPOSITORY.glob("docs/**/*.md")
    return [Page(path.relative_to(REPOSITORY).as_posix()) for path in sorted(found)]


def commands(block: Block) -> list[Command]:
    """The commands of a block ``console``."""
    found = list(_COMMAND.finditer(block.text))
    ends = [it.start() for it in found[1:]] + [len(block.text)]
    return [
        Command(_typed(it["text"]), block.text[it.end() : end].rstrip("\n"))
        for it, end in zip(found, ends, strict=True)
    ]


def _typed(text: str) -> str:
    """A command without the shell's second prompt."""
    first, *others = text.split("\n")
    return "\n".join([first, *(re.sub(r"^> ?", "", line) for line in others)])


def boxed() -> dict[str, str]:
    """The blocks that are tested in a box, by name. Several of one name are the same."""
    beginning = "tested in a box: "
    blocks = [it for page in pages() for it in page.blocks() if it.mark.startswith(beginning)]
    found: dict[str, str] = {}
    for block in blocks:
        name = block.mark.removeprefix(beginning)
        assert found.setdefault(name, block.text) == block.text, f"two different blocks {name!r}"
    return found
