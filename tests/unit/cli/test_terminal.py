"""A block of lines below what is written, as a terminal shows it."""

from __future__ import annotations

import io
import re

from artifact_sync.cli.terminal import LiveTerminal


class Screen(io.StringIO):
    """Obeys the few sequences that are used."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[str] = [""]
        self.row = 0

    def write(self, text: str) -> int:
        for part in re.findall(r"\x1b\[\d*[AJ]|\r|\n|[^\x1b\r\n]+", text):
            if part == "\n":
                self.row += 1
                self.rows += [""] * (self.row == len(self.rows))
            elif part.endswith("J"):
                self.rows[self.row :] = [""]
            elif part.endswith("A"):
                self.row -= int(part[2:-1])
            elif part != "\r":
                self.rows[self.row] = part
        return len(text)


def test_what_is_written_stands_above_the_block_which_is_redrawn() -> None:
    screen = Screen()
    terminal = LiveTerminal(screen)
    terminal.write("one\n")
    terminal.show(["whole", "a", "b"])
    terminal.show(["whole", "a"])
    terminal.write("two\nthree\n")
    assert screen.rows == ["one", "two", "three", "whole", "a"]
    terminal.show([])
    assert screen.rows == ["one", "two", "three", ""]


def test_the_cursor_rests_where_the_block_begins() -> None:
    """Guards against: rests of a block that a resize or a ``^C`` has moved."""
    screen = Screen()
    terminal = LiveTerminal(screen)
    terminal.show(["whole", "a", "b"])
    assert screen.row == 0
    screen.write("^C")
    terminal.show(["whole"])
    assert screen.rows == ["whole"]
    assert screen.row == 0
