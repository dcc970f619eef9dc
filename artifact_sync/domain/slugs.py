"""Tells which names of the service can be part of ``ORG/REPO``."""

from __future__ import annotations

import re

_SLUG = re.compile(r"(?!(?:\.{1,2}|\*)$)[^/\s]{1,255}")


def is_slug(text: str) -> bool:
    """Whether it can be named in a configuration, a path and a message.

    It is printable, one word without a slash, and none of ``.``, ``..`` and ``*``.
    """
    return _SLUG.fullmatch(text) is not None and text.isprintable()
