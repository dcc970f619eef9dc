"""Names that would be one file somewhere, and slugs that want out of their folder."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import unicodedata
from typing import TYPE_CHECKING

from hostile_service import File

if TYPE_CHECKING:
    from trial import Trial

CONTENT = b"built at night"
NFC, NFD = (unicodedata.normalize(form, "é.txt") for form in ("NFC", "NFD"))


CLASHES = {
    "1": ("Readme.txt", "README.TXT"),
    "2": ("Dir/x", "dir/y", "DIR"),
    "3": (NFC, NFD),
    "4": ("straße", "STRASSE"),
    "5": ("a", "a/b"),
    "6": ("a/b/c", "a/b"),
    "7": ("a", "./a"),
    "8": ("a", "a/"),
    "9": ("a/b", "a//b"),
}


def test_names_that_would_be_one_file_somewhere_clash(trial: Trial) -> None:
    for run, names in CLASHES.items():
        trial.service.run({name: f"of {name}".encode() for name in names}, run)
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert outcome.reasons_by("run") == dict.fromkeys(CLASHES, "collision")
    assert all(trial.files(trial.place(".", run)) for run in CLASHES)
    assert outcome.counts[1] + outcome.counts[3] == sum(map(len, CLASHES.values()))
    first = {path: path.read_bytes() for path in trial.files()}
    assert trial.sync().counts[1] == 0, "who came first keeps the name"
    assert {path: path.read_bytes() for path in trial.files()} == first


def test_the_same_path_in_two_cubes_is_two_files(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT})
    run.files.append(("app.bin", File(b"the other", cube=("build", "linux", "compile2"))))
    run.files.append(("app.bin", File(b"the third", cube=("build", "linux2", "compile"))))
    assert trial.sync().counts == (3, 3, 0, 0)
    assert {path.read_bytes() for path in trial.files()} == {CONTENT, b"the other", b"the third"}


SLUGS = ("..", ".", "../..", "/etc", "C:", "a\0b", "NUL", ".artifact-sync", "x" * 300, "\x1b[2J")


def test_a_slug_never_leads_out_of_its_folder(trial: Trial) -> None:
    """It may be refused or encoded. A run each for workflows, tasks and cubes."""
    for level in range(3):
        run = trial.service.run({"app.bin": CONTENT}, str(level))
        for number, slug in enumerate(SLUGS):
            cube = ["build", "linux", "compile"]
            cube[level] = slug
            file = File(f"evil {number}".encode(), cube=(cube[0], cube[1], cube[2]))
            run.files.append(("evil.bin", file))
    outcome = trial.sync()
    evil = [path for path in trial.files() if path.name == "evil.bin"]
    assert {len(path.relative_to(trial.root / "org" / "repo").parts) for path in evil} == {5}
    assert len(evil) + len(outcome.failures) == 3 * len(SLUGS)
    assert all(trial.place(run=str(level)).read_bytes() == CONTENT for level in range(3))


def test_a_runs_slug_never_leads_out_of_its_folder(trial: Trial) -> None:
    trial.service.run({"app.bin": CONTENT}, "1")
    slugs = ["..", ".", "../../../x", "/etc", "latest", ".artifact-sync", "1\0", "", "a b"]
    for slug in (*slugs, "x" * 300):
        trial.service.run({"app.bin": b"evil"}, slug)
    trial.sync()
    assert trial.has(CONTENT)
    evil = [path for path in trial.files() if path.read_bytes() == b"evil"]
    assert {len(path.relative_to(trial.root / "org" / "repo").parts) for path in evil} == {5}


def test_an_organisations_listing_never_leads_out_of_the_mirror(trial: Trial) -> None:
    for repo in ("org/..", "org/../../x", "org/good", "org/.artifact-sync"):
        trial.service.run({"app.bin": CONTENT}, repo=repo)
    trial.sync("org/*")
    assert trial.manifest(repo="org/good").exists()
    assert all(path.relative_to(trial.root).parts[0] == "org" for path in trial.files())
    assert all(len(path.relative_to(trial.root).parts) == 7 for path in trial.files())


FOLDERS = {
    "1": ("./public/", "./public/site.zip"),
    "2": ("dist/", "dist/app/main.js", "dist/app/"),
    "3": ("a/b/.", "a/b/c", "a/d"),
    "4": ("Public/", "public/x"),
}


def test_the_archive_of_a_folder_and_that_folder_can_both_stand(trial: Trial) -> None:
    """Guards against: a run that one name keeps without manifests and ``latest`` for ever."""
    for run, names in FOLDERS.items():
        trial.service.run({name: f"of {name}".encode() for name in names}, run)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.failures) == (0, [])
    contents = {path.read_bytes() for path in trial.files()}
    assert contents == {f"of {name}".encode() for names in FOLDERS.values() for name in names}
    assert trial.has(b"of ./public/", "public%2F")
    assert trial.has(b"of ./public/site.zip", "public/site.zip")
    assert trial.sync().counts == (10, 0, 10, 0)


def test_an_archive_that_was_there_first_keeps_its_name(trial: Trial) -> None:
    """Guards against: what is mirrored moves, or is lost, when a later file wants its name."""
    run = trial.service.run({"public/": b"an archive"})
    assert trial.sync().exit_code == 0
    assert trial.has(b"an archive", "public")
    run.files.append(("public/a/site.zip", File(b"late")))
    assert trial.sync("--run", "1").counts == (2, 1, 1, 0)
    assert trial.has(b"an archive", "public")
    assert trial.has(b"late", "public%2Fa/site.zip")
    assert trial.sync("--run", "1").counts == (2, 0, 2, 0)


REFUSED = ("README.TXT", "../out", 'odd "*[x]?$\u202e\\{y}', "/etc/passwd", "C:x")


def test_a_refused_name_keeps_no_run_from_its_manifests(trial: Trial) -> None:
    """Guards against: a run that one name keeps without manifests and ``latest`` for ever."""
    trial.service.run({name: name.encode() for name in ("Readme.txt", *REFUSED)})
    outcome = trial.sync()
    refused = {it["local_path"]: it["reason"] for it in outcome.failures}
    assert outcome.exit_code == 1
    assert trial.manifest().read_bytes().count(b"\n") == 1
    assert (trial.root / "org/repo/latest").readlink().name == "1"
    about = json.loads((trial.manifest().parent / "run.json").read_text())
    assert {it["local_path"]: it["reason"] for it in about["refused"]} == refused
    assert verified(trial) == 0
    assert trial.sync().failures == outcome.failures

    lines = [it["message"].rpartition("[[repo]]: ")[2] for it in outcome.failures]
    globs = [glob for line in lines for glob in tomllib.loads(line)["exclude"]]
    assert len(globs) == len(refused)
    assert (
        trial.sync("org/repo", *(word for glob in globs for word in ("--exclude", glob))).exit_code
        == 0
    )
    assert "refused" not in (trial.manifest().parent / "run.json").read_text()
    assert trial.has(b"README.TXT", "README.TXT")


def test_a_line_that_would_leave_out_more_says_so(trial: Trial) -> None:
    """Guards against: advice that quietly leaves out what is mirrored."""
    trial.service.run({"dist": b"an archive", "dist/x": b"a file", "./dist": b"once more"})
    messages = {it["local_path"]: it["message"] for it in trial.sync().failures}
    shared = [path for path, text in messages.items() if "with what shares its name" in text]
    assert (sorted(messages), shared) == (["dist", "dist/x"], ["dist"])


def verified(trial: Trial) -> int:
    command = [sys.executable, "-m", "artifact_sync", "verify", "--root", str(trial.root)]
    return subprocess.run(command, env=trial.environment(), check=False).returncode
