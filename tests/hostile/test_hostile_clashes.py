"""Names that would be one file somewhere, and slugs that want out of their folder."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest
from hostile_service import File

if TYPE_CHECKING:
    from trial import Trial

CONTENT = b"built at night"
NFC, NFD = (unicodedata.normalize(form, "é.txt") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    "names",
    [
        ("Readme.txt", "README.TXT"),
        ("Dir/x", "dir/y", "DIR"),
        (NFC, NFD),
        ("straße", "STRASSE"),
        ("a", "a/b"),
        ("a/b/c", "a/b"),
        ("a", "./a"),
        ("a", "a/"),
        ("a/b", "a//b"),
    ],
)
def test_names_that_would_be_one_file_somewhere_clash(trial: Trial, names: tuple[str, ...]) -> None:
    trial.service.run({name: f"of {name}".encode() for name in names})
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert set(outcome.reasons) == {"collision"}
    assert outcome.counts[1] + outcome.counts[3] == len(names)
    assert outcome.counts[1] >= 1
    first = {path: path.read_bytes() for path in trial.files()}
    assert trial.sync().counts[1] == 0, "who came first keeps the name"
    assert {path: path.read_bytes() for path in trial.files()} == first


def test_the_same_path_in_two_cubes_is_two_files(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT})
    run.files.append(("app.bin", File(b"the other", cube=("build", "linux", "compile2"))))
    run.files.append(("app.bin", File(b"the third", cube=("build", "linux2", "compile"))))
    assert trial.sync().counts == (3, 3, 0, 0)
    assert {path.read_bytes() for path in trial.files()} == {CONTENT, b"the other", b"the third"}


@pytest.mark.parametrize("level", range(3), ids=["workflow", "task", "cube"])
def test_a_slug_never_leads_out_of_its_folder(trial: Trial, level: int) -> None:
    """It may be refused or encoded."""
    run = trial.service.run({"app.bin": CONTENT})
    slugs = [
        "..",
        ".",
        "../..",
        "/etc",
        "C:",
        "a\0b",
        "NUL",
        ".artifact-sync",
        "x" * 300,
        "\x1b[2J",
    ]
    for number, slug in enumerate(slugs):
        cube = ["build", "linux", "compile"]
        cube[level] = slug
        file = File(f"evil {number}".encode(), cube=(cube[0], cube[1], cube[2]))
        run.files.append(("evil.bin", file))
    outcome = trial.sync()
    run_folder = trial.root / "org" / "repo" / "1"
    assert trial.place().read_bytes() == CONTENT
    evil = [path for path in trial.files() if path.name == "evil.bin"]
    assert {len(path.relative_to(run_folder).parts) for path in evil} == {4}
    assert len(evil) + len(outcome.failures) == len(slugs)


@pytest.mark.parametrize(
    "slug", ["..", "../../../x", "/etc", "latest", ".artifact-sync", "1\0", ""]
)
def test_a_runs_slug_never_leads_out_of_its_folder(trial: Trial, slug: str) -> None:
    trial.service.run({"app.bin": CONTENT}, "1")
    trial.service.run({"app.bin": b"evil"}, slug)
    trial.sync()
    assert trial.has(CONTENT)
    evil = [path for path in trial.files() if path.read_bytes() == b"evil"]
    folder = trial.root / "org" / "repo"
    assert [len(path.relative_to(folder).parts) for path in evil] in [[], [5]]


def test_an_organisations_listing_never_leads_out_of_the_mirror(trial: Trial) -> None:
    for repo in ("org/..", "org/../../x", "org/good", "org/.artifact-sync"):
        trial.service.run({"app.bin": CONTENT}, repo=repo)
    trial.sync("org/*")
    assert trial.manifest(repo="org/good").exists()
    assert all(path.relative_to(trial.root).parts[0] == "org" for path in trial.files())
    assert all(len(path.relative_to(trial.root).parts) == 7 for path in trial.files())
