"""Reads a built page as a browser without JavaScript does."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_UNSEEN = frozenset({"script", "style", "template", "noscript", "svg"})
_LOADED = frozenset({"script", "link", "img", "iframe", "source", "video", "audio", "object"})


class BuiltPage(HTMLParser):
    """What a page links to, loads, and shows in its article."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        """Where its links lead."""
        self.loaded: list[str] = []
        """What a browser fetches for it."""
        self.classes: set[str] = set()
        self._words: list[str] = []
        self._unseen = 0
        self._article = 0
        self.feed(text)
        self.close()

    @property
    def words(self) -> list[str]:
        """The words of the article."""
        return "".join(self._words).split()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag's addresses and anchors."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        self.classes |= set(values.get("class", "").split())
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in _LOADED:
            self.loaded += [values[name] for name in ("src", "href", "data") if values.get(name)]
        self._article += tag == "article"
        self._unseen += tag in _UNSEEN
        self._words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        self._article -= tag == "article"
        self._unseen -= tag in _UNSEEN
        self._words.append(" ")

    def handle_data(self, data: str) -> None:
        """Take the text that is seen."""
        if self._article and not self._unseen:
            self._words.append(data)


def built_pages(site: Path) -> dict[Path, BuiltPage]:
    """Every page of a built site."""
    return {
        path: BuiltPage(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))
    }
