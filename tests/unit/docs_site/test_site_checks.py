"""Each check of the documentation site finds its fault, and the place where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docs_site.checks import faults, foreign_faults, hidden_faults, link_faults
from docs_site.html import built_pages
from docs_site.pages import headings, length_faults, navigation_faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAV = '[project]\nnav = [{ "First" = "index.md" }, { "More" = ["guide/index.md"] }]\n'
INDEX = (
    '<nav><a href="guide/">Guide</a></nav><article><h1 id="top">Top</h1>'
    '<p>Some words of the first page. <a href="guide/#part">On</a></p></article>'
)
GUIDE = '<article><h1 id="guide">Guide</h1><h2 id="part">Part</h2><p>More words.</p></article>'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two pages in which all is well."""
    for name, text in {
        "zensical.toml": NAV,
        "docs/index.md": "# Top\n\nSome words of the first page. [On](guide/index.md#part)\n",
        "docs/guide/index.md": "# Guide\n\n## Part\n\nMore words.\n",
        "build/site/index.html": INDEX,
        "build/site/guide/index.html": GUIDE,
        "build/site/main.css": "body { background: url(data:image/png;base64,AA) }",
    }.items():
        write(tmp_path / name, text)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def found(project: Path, check: Callable[..., object], addition: str) -> list[str]:
    """What a check says once this stands in the first page as built."""
    site = project / "build/site"
    write(site / "index.html", INDEX + addition)
    return list(check(site, built_pages(site)))  # type: ignore[call-overload]


def test_a_site_in_which_all_is_well_has_no_fault(project: Path) -> None:
    assert faults(project) == []


def test_a_page_that_the_navigation_lacks_is_a_fault(project: Path) -> None:
    write(project / "docs/guide/lost.md", "# Lost\n")
    assert list(navigation_faults(project)) == [
        "docs/guide/lost.md: not in the nav of zensical.toml"
    ]


def test_an_entry_without_a_page_is_a_fault_and_one_that_comes_twice(project: Path) -> None:
    entries = '"index.md", "index.md", "guide/index.md", "gone.md"'
    write(project / "zensical.toml", f"[project]\nnav = [{entries}]\n")
    assert list(navigation_faults(project)) == [
        "zensical.toml: no page docs/gone.md",
        "zensical.toml: docs/index.md is listed twice",
    ]


def test_a_page_of_too_many_words_is_a_fault_but_in_reference_and_decisions(project: Path) -> None:
    for page in ("guide/long.md", "reference/keys.md", "decisions/0001-x.md"):
        write(project / "docs" / page, "word " * 1201)
    write(project / "docs/guide/full.md", "word " * 1200 + "<!-- tested in a box -->")
    assert list(length_faults(project)) == ["docs/guide/long.md: 1201 words, at most 1200"]


@pytest.mark.parametrize(
    ("tag", "fault"),
    [
        ('<a href="gone/">', "gone/: no such page"),
        ('<a href="/gone/">', "/gone/: no such page"),
        ('<a href="guide/#gone">', "guide/#gone: no such anchor"),
        ('<a href="#gone">', "#gone: no such anchor"),
        ('<img src="gone.png">', "gone.png: no such page"),
    ],
)
def test_a_link_to_nothing_is_a_fault(project: Path, tag: str, fault: str) -> None:
    assert found(project, link_faults, tag) == [f"index.html: {fault}"]


@pytest.mark.parametrize(
    "tag", ['<a href="https://example.org/">', '<a href="guide/#p%61rt">', '<a href="main.css">']
)
def test_a_link_elsewhere_or_to_what_is_there_is_none(project: Path, tag: str) -> None:
    assert found(project, link_faults, tag) == []


@pytest.mark.parametrize(
    ("tag", "fault"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js"),
        ('<link href="//fonts.example/css">', "loads //fonts.example/css"),
        ('<pre class="mermaid">graph</pre>', "a diagram that needs a script"),
    ],
)
def test_what_would_be_loaded_from_another_host_is_a_fault(
    project: Path, tag: str, fault: str
) -> None:
    assert found(project, foreign_faults, tag) == [f"index.html: {fault}"]


def test_a_style_sheet_that_loads_from_another_host_is_a_fault(project: Path) -> None:
    write(project / "build/site/main.css", "@import 'https://fonts.example/css';")
    assert found(project, foreign_faults, "") == ["main.css: loads https://fonts.example/css"]


def test_a_page_that_only_a_script_would_show_is_a_fault(project: Path) -> None:
    site = project / "build/site"
    write(site / "guide/index.html", f"<article><script>show(`{GUIDE}`)</script></article>")
    assert list(hidden_faults(project, built_pages(site))) == [
        "docs/guide/index.md: its HTML has 0 of its 4 words",
        "docs/guide/index.md: its HTML lacks the heading 'Guide'",
        "docs/guide/index.md: its HTML lacks the heading 'Part'",
    ]


def test_a_page_that_was_not_built_is_a_fault(project: Path) -> None:
    (project / "build/site/guide/index.html").unlink()
    said = list(hidden_faults(project, built_pages(project / "build/site")))
    assert said == ["docs/guide/index.md: not built"]


def test_a_comment_in_a_block_of_code_is_no_heading() -> None:
    text = "# One\n\n```sh\n# not one\n```\n\n    # nor this\n\n## `two` [x](y.md) ##\n"
    assert headings(text) == ["One", "`two` [x](y.md)"]
