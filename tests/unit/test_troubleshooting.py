"""The pages of docs/troubleshooting/, the table of their messages, and the program fit together."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import artifact_sync
from artifact_sync.domain.errors import Reason
from artifact_sync.domain.troubleshooting import OF_REASON, WORDS, section_of, sections_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(artifact_sync.__file__).parent
DOCS = PACKAGE.parent / "docs"
MOST_WORDS = 1_200

ASKS_NOTHING = {Reason.INTERRUPTED}
"""Somebody has asked for what happened."""

ELSEWHERE = (
    "this system has no Unix sockets",  # nobody sees it: the mirror is busy as without a daemon
    "is no path for a file of the mirror",  # likewise: the layout has checked it before
    "mount or set mirror.root to the ledger's mirror",  # what stands before it is in the table
    "artifact-sync sync ORG/REPO begins a mirror",  # likewise
    "--root or mirror.root names the folder of a mirror",  # likewise
    "there is no such file; …",  # what stands behind it is
    "one a line",  # it begins with: webhook secret file
)
"""Pieces of errors that are found by what stands before or behind them."""

GOOD_NEWS = (
    "and … more",
    "can be reached again",
    "accepts the token again",
    "the mirror is watched again",
    "the mirror is there again; every repository is looked at",
    "there is room on the mirror's disk again",
    "the socket was gone and is bound again",
    "cannot be looked at; tried again ever less often",  # its field why is looked up
    "webhook calls of another type were ignored",  # logged as information
    "webhook calls were ignored: these events were accepted before",
    "the webhook was tested, and its secret is right",
)
"""Warnings after which nobody has to do anything, or whose ``why`` says what."""


@cache
def sections() -> dict[str, str]:
    """The text of each section as it is read, by page and anchor."""
    found = {}
    for page in sorted((DOCS / "troubleshooting").glob("*.md")):
        _, *parts = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for part in parts:
            anchor = re.search(r"\{#([a-z-]+)\}$", part.partition("\n")[0])
            assert anchor, (page, part)
            found[f"{page.stem}#{anchor[1]}"] = " ".join(part.split())
    return found


def literals(node: ast.expr) -> str:
    """A text of the program as its messages have it: ``…`` for what is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (it.value if isinstance(it, ast.Constant) else "…" for it in node.values)
        return "".join(map(str, parts))
    return ""


@cache
def trees() -> tuple[ast.Module, ...]:
    """The program's source, but for the table itself."""
    paths = (path for path in PACKAGE.rglob("*.py") if path.name != "troubleshooting.py")
    return tuple(ast.parse(path.read_text(encoding="utf-8")) for path in paths)


@cache
def program_texts() -> str:
    """Every text in the source, a line each."""
    nodes = (node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.expr))
    return "\n".join(filter(None, map(literals, nodes)))


def is_said(words: str) -> bool:
    """Whether the program says this, from one text or, put together, from two."""
    cuts = range(3, len(words) - 2)
    texts = program_texts()
    return words in texts or any(words[:cut] in texts and words[cut:] in texts for cut in cuts)


@cache
def reasons_of_errors() -> dict[str, str]:
    """The name of each error class, and of its reason."""
    found = {"ArtifactSyncError": "INTERNAL"}
    classes = [
        node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    for _ in range(5):  # generations
        for node in classes:
            bases = [ast.unparse(base) for base in node.bases]
            inherited = next((found[base] for base in bases if base in found), None)
            own = [
                ast.unparse(it.value).removeprefix("Reason.")
                for it in node.body
                if isinstance(it, ast.Assign) and ast.unparse(it.targets[0]) == "reason"
            ]
            if inherited is not None:
                found[node.name] = own[0] if own else inherited
    return found


def warned() -> Iterator[str]:
    """The messages of the program's warnings and errors in the log, as far as they are literal."""
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                logs = isinstance(node.func.value, ast.Name) and node.func.value.id == "_log"
                if logs and node.func.attr in {"warning", "error"} and node.args:
                    yield literals(node.args[0])


def test_every_section_that_a_message_names_is_there() -> None:
    assert {*WORDS, *OF_REASON.values()} == set(sections())


def test_every_message_is_found_in_its_section_by_its_words() -> None:
    missing = [
        (section, words)
        for section, all_words in WORDS.items()
        for words in all_words
        if words not in sections()[section]
    ]
    assert missing == []


def test_every_message_of_the_table_is_said_by_the_program() -> None:
    """Guards against: a message that got other words, and is found no more."""
    parts = {part.strip() for words in WORDS.values() for it in words for part in it.split("…")}
    assert [part for part in parts if not is_said(part)] == []


def test_every_message_of_the_table_leads_to_its_own_section() -> None:
    wrong = [
        (words, found, section)
        for section, all_words in WORDS.items()
        for words in all_words
        if (found := section_of(f"before {words.replace('…', 'x')} after")) != section
    ]
    assert wrong == []


def test_every_reason_has_a_section_or_asks_nothing() -> None:
    assert {*OF_REASON} | ASKS_NOTHING == set(Reason)
    assert not {*OF_REASON} & ASKS_NOTHING


def test_every_error_has_a_reason_with_a_section() -> None:
    errors = reasons_of_errors()
    assert len(errors) > 40
    without = {name for name, reason in errors.items() if Reason[reason] not in OF_REASON}
    assert without == {"Interrupted"}


def raised() -> Iterator[tuple[str, str]]:
    """The literal messages of errors, and the reason of each."""
    reasons = reasons_of_errors()
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                first = node.args[0]
                if isinstance(first, ast.List) and first.elts:
                    first = first.elts[0]  # as ConfigError has them
                if text := literals(first):
                    yield text, reasons.get(ast.unparse(node.func), "")


def test_every_error_is_found_by_its_words() -> None:
    """By those of the table, or by its longest piece in the section of its reason."""
    errors = [(text, Reason[reason]) for text, reason in raised() if reason]
    assert len(errors) > 100
    lost = []
    for text, reason in errors:
        section = section_of(text, reason)
        piece = max(text.split("…"), key=len).strip(" :;(")
        is_put_together = len(piece.split()) < 4
        if section is not None and section_of(text) is None and not is_put_together:
            lost += [] if piece in sections()[section] else [text]
    assert [it for it in lost if not any(words in it for words in ELSEWHERE)] == []


def test_every_warning_in_the_log_has_a_section_or_is_no_request() -> None:
    """A new line of the log belongs on a page, or above with the reason why not."""
    told = (*GOOD_NEWS, *(words for all_words in WORDS.values() for words in all_words))
    messages = [text for text in warned() if text]
    assert len(messages) > 30
    lost = [it for it in messages if not any(words in it or it in words for words in told)]
    assert lost == []


@pytest.mark.parametrize(
    ("message", "reason", "section"),
    [
        ("what it is", Reason.GONE, "artifacts#gone"),
        ("stopped before it was done", Reason.INTERRUPTED, None),
        ("the ledger /m/l.sqlite is damaged: restore it", Reason.DISK, "ledger#damaged"),
        ("damaged is the ledger", None, None),
    ],
)
def test_the_words_come_before_the_reason(
    message: str, reason: Reason | None, section: str | None
) -> None:
    assert section_of(message, reason) == section


def test_a_section_is_named_once_however_many_files_failed() -> None:
    gone = [("the file's server answered 404", Reason.GONE)] * 100_000
    assert list(sections_of([*gone, ("x", Reason.CUT)])) == [
        "artifacts#gone",
        "downloads#broken-off",
    ]


def test_the_first_page_leads_to_every_section() -> None:
    links = re.findall(r"\(troubleshooting/(\w+)\.md#([a-z-]+)\)", first_page())
    assert sorted(f"{page}#{anchor}" for page, anchor in links) == sorted(sections())


def first_page() -> str:
    return (DOCS / "troubleshooting.md").read_text(encoding="utf-8")


def test_the_first_page_has_the_headings_of_the_others() -> None:
    listed = dict(
        re.findall(r"^- \[(.*)\]\(troubleshooting/.*\.md#(.*)\)$", first_page(), re.MULTILINE)
    )
    headings = {text.partition(" {#")[0] for text in sections().values()}
    assert set(listed) == headings


def test_no_page_is_too_long() -> None:
    pages = [DOCS / "troubleshooting.md", *(DOCS / "troubleshooting").glob("*.md")]
    assert [it.name for it in pages if len(it.read_text("utf-8").split()) > MOST_WORDS] == []
