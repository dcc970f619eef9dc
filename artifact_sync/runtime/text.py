"""Make foreign text safe to show."""

from __future__ import annotations


def printable(text: str, instead: str | None = None) -> str:
    r"""Escape what is not printable, so that the text stays on one line.

    Control, format and separator characters and lone surrogates become ``\x1b``, ``\u202e``, or
    ``instead``. A backslash stays as it is: the result is to be read, not parsed.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(char, instead) for char in text)


def _escaped(char: str, instead: str | None) -> str:
    if char.isprintable():
        return char
    return ascii(char)[1:-1] if instead is None else instead
