"""The documentation builds without a fault, and what it says of the code is there.

Built from a copy, so that nothing is written into the checkout.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from pathlib import Path

import pytest

from docs_site.build import CONFIG, build
from docs_site.checks import faults
from docs_site.pages import pages

REPOSITORY = Path(__file__).parents[2]
PAGES = pages(REPOSITORY)
DECISIONS = sorted(page for page in PAGES if re.fullmatch(r"decisions/\d{4}-.+\.md", page))

_FILE = re.compile(
    r"`((?:artifact_sync|tests|docs|docs_site|systemd|benchmarks|reference|packaging)"
    r"/[\w./-]*[\w/])`"
)
_SHORT_FILE = re.compile(r"`((?!artifact_sync/|docs_site/)[a-z]+/[\w/]+(?:\.py|/))`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_STATUS = re.compile(
    r"\A# (\d{4}): (.+)\n\nStatus: ((?:accepted|superseded)\b.*)\.\n\n## Context\n"
)
_ROW = re.compile(r"^\| \[(\d{4})\]\((.+?)\) \| (.+?) \| (.+?) \|$", re.MULTILINE)


QUESTIONS = [
    ("How do I install it where pip is refused?", "install", "externally-managed-environment"),
    ("How do I give it a new token?", "recipes/token", "takes it up"),
    ("How do I get back a file that was deleted?", "recipes/restore", "verify"),
    ("How do I serve the mirror to others?", "recipes/nginx", "SHA256SUMS"),
    ("How do I keep it from filling the disk?", "reference/configuration", "min_free"),
    ("How do I keep it from filling the line?", "recipes/slow-lines", "limit"),
    ("How do I move it to another machine?", "recipes/move", "mirror"),
    ("How do I hear that something is wrong?", "recipes/prometheus", "ArtifactSync"),
    ("How do I upgrade, and go back?", "recipes/upgrade", "To go back"),
    ("What does exit code 6 mean?", "reference/exit-codes", "disk"),
    ("What is to be done about this message?", "troubleshooting/disk", "no space"),
    ("Can I trust this file?", "concepts/evidence", "digest"),
    ("Who can read my token?", "concepts/security", "token"),
]
"""What an operator asks, the page that answers, and a word of the answer."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("project")
    shutil.copytree(REPOSITORY / "docs", copy / "docs")
    shutil.copy(REPOSITORY / CONFIG, copy)
    return copy


@pytest.mark.timeout(300)
def test_the_site_is_built_and_has_no_fault(project: Path) -> None:
    built = build(project)
    assert built.good, built.output
    assert faults(project) == []


@pytest.mark.timeout(300)
def test_a_broken_anchor_fails_the_build(project: Path) -> None:
    page = project / "docs/glossary.md"
    text = page.read_text(encoding="utf-8")
    try:
        page.write_text(f"{text}\n[x](#no-such-anchor)\n", encoding="utf-8")
        built = build(project)
    finally:
        page.write_text(text, encoding="utf-8")
    assert not built.good
    assert "anchor does not exist" in built.output


def test_every_file_that_the_pages_for_contributors_name_is_there() -> None:
    texts = {page: text for page, text in PAGES.items() if page.startswith("contributing/")}
    for name in ("CONTRIBUTING.md", "SECURITY.md"):
        texts[name] = (REPOSITORY / name).read_text(encoding="utf-8")
    named = {name for text in texts.values() for name in _FILE.findall(text)}
    assert len(named) > 40
    invented = {"artifact_sync/cli/commands/age.py", "artifact_sync/mirror/NAME/"}  # of examples
    assert {name for name in named - invented if not (REPOSITORY / name).exists()} == set()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_the_links_of_a_page_beside_the_code_lead_somewhere(name: str) -> None:
    links = _LINK.findall((REPOSITORY / name).read_text(encoding="utf-8"))
    targets = {link.partition("#")[0] for link in links if "://" not in link} - {""}
    assert {target for target in targets if not (REPOSITORY / target).exists()} == set()


def test_the_architecture_names_modules_that_are_there() -> None:
    named = set(_SHORT_FILE.findall(PAGES["contributing/architecture.md"]))
    assert {"sync/plan.py", "transfer/receive.py"} <= named
    roots = (REPOSITORY / "artifact_sync", REPOSITORY)
    assert {name for name in named if not any((root / name).exists() for root in roots)} == set()


def test_the_index_of_decisions_has_each_with_its_title_and_status() -> None:
    expected = [
        (number, page.removeprefix("decisions/"), title, status)
        for page in DECISIONS
        for number, title, status in _STATUS.findall(PAGES[page])
    ]
    assert [f"decisions/{it[1]}" for it in expected] == DECISIONS, "a status line is missing"
    assert _ROW.findall(PAGES["decisions/index.md"]) == expected


def test_a_status_names_decisions_that_are_there() -> None:
    numbers = [page.removeprefix("decisions/")[:4] for page in DECISIONS]
    assert len(set(numbers)) == len(numbers), "two decisions have one number"
    statuses = [status for page in DECISIONS for *_, status in _STATUS.findall(PAGES[page])]
    named = {number for status in statuses for number in re.findall(r"\d{4}", status)}
    assert named <= set(numbers)


def _clicks() -> dict[str, int]:
    """How many links of articles lead from the first page to each page."""
    clicks, waiting = {"index.md": 0}, ["index.md"]
    while waiting:
        page = waiting.pop(0)
        for link in _LINK.findall(PAGES[page]):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link.split("#")[0]))
            if target in PAGES and target not in clicks:
                clicks[target] = clicks[page] + 1
                waiting.append(target)
    return clicks


def test_every_page_is_two_clicks_from_the_first_one() -> None:
    clicks = _clicks()
    assert {page for page in PAGES if clicks.get(page, 9) > 2} == set()
    assert clicks["troubleshooting.md"] == 1


@pytest.mark.parametrize(("question", "page", "word"), QUESTIONS)
def test_a_question_of_an_operator_is_answered(question: str, page: str, word: str) -> None:
    assert word in PAGES[f"{page}.md"], question
