"""Text of any kind is made printable, and nothing else is changed in it."""

from __future__ import annotations

import ast

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.runtime.text import printable

anything = st.text(st.characters(exclude_categories=[]))


@given(anything)
def test_text_becomes_printable_and_its_escapes_name_what_was_there(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    literal = "".join("\\" + char if char in "\\'" else char for char in text)
    assert ast.literal_eval(f"'{printable(literal)}'") == text


@given(anything, st.sampled_from(["?", " ", ""]))
def test_a_replacement_stands_for_each_unprintable_character(text: str, instead: str) -> None:
    assert printable(text, instead) == "".join(it if it.isprintable() else instead for it in text)


@given(anything)
def test_printing_twice_changes_nothing(text: str) -> None:
    assert printable(printable(text)) == printable(text)
