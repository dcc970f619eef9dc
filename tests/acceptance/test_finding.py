"""``ls`` with filters, ``du``, ``path`` and ``why``: where a file is, and what becomes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from user import ARCHIVE, PAGE, REPORT, Done, User, organisation

from artifact_sync.simulator import running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

ROCKET, WEBSITE = "acme/rocket", "acme/website"
TWO_TRIES = {"ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "2"}

pytestmark = pytest.mark.xdist_group("finding")  # a mirror for all


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Somebody whose mirror lacks one file, which is gone upstream."""
    with running_in_thread(organisation()) as running:
        running.simulator.remove_file(ROCKET, "2", REPORT)
        user = User(tmp_path_factory.mktemp("owner"), running)
        assert user.sync("acme/*", **TWO_TRIES).code == 1
        yield user


def asked(owner: User, command: str, *arguments: str) -> Done:
    return owner.run(command, *arguments, "--root", owner.root)


def listed(owner: User, *arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = asked(owner, "ls", "--json", *arguments).answer["artifacts"]
    return rows


def names(owner: User, *arguments: str) -> list[str]:
    rows = listed(owner, *arguments)
    return [f"{it['repo'][5]}{it['run']} {it['local_path']}" for it in rows]


def test_ls_is_narrowed_by_what_all_of_its_options_say(owner: User) -> None:
    assert names(owner, ROCKET, WEBSITE, "--include", "*.tar.gz") == [
        f"r3 {ARCHIVE}", f"r2 {ARCHIVE}", f"r1 {ARCHIVE}", f"w1 {ARCHIVE}",
    ]  # fmt: skip
    latest = names(owner, "--run", "latest-success", "--include", "*.tar.gz")
    assert latest == [f"r1 {ARCHIVE}", f"w1 {ARCHIVE}"]  # run 2 of the rocket lacks a file
    assert names(owner, "--run", "1", "--run", "2", "--workflow", "d*", ROCKET) == [
        f"r2 {PAGE}", f"r1 {PAGE}",
    ]  # fmt: skip
    assert names(owner, "--state", "gone", "--state", "lost") == [f"r2 {REPORT}"]
    assert names(owner, ROCKET, "--since", "3d", "--include", "report/") == [f"r3 {REPORT}"]
    (archive, *_) = listed(owner, ROCKET, "--run", "1", "--include", "/dist/*.gz")
    same = listed(owner, "--sha256", archive["sha256"][:20].upper())
    assert archive["sha256"] in {it["sha256"] for it in same}
    assert all(it["sha256"] == archive["sha256"] for it in same)
    sizes = [it["size"] for it in listed(owner, "--sort", "size", "--state", "mirrored")]
    assert sizes == sorted(sizes, reverse=True)
    paths = [it["path"] for it in listed(owner, "--sort", "path", "--state", "mirrored")]
    assert paths == sorted(paths)


def test_ls_in_full_has_a_line_for_each_fact(owner: User) -> None:
    _, line, *facts = asked(owner, "ls", ROCKET, "--run", "1", "--long").out.splitlines()[:12]
    assert line.startswith("mirrored ")
    told = dict(it.split(maxsplit=1) for it in facts if it.startswith("  "))
    assert len(told["sha256"]) == 64
    assert {"evidence", "version", "mirrored", "verified"} <= told.keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--state", "well"), "no artifact is ever well: there is wanted, pending, mirrored, "),
        (("--sha256", ""), "a SHA-256 is 64 characters of 0-9 and a-f, or the first of them; got"),
        (("--sha256", "xyz"), "or the first of them; got xyz"),
        (("--since", "soon"), "expected a duration such as 7d, or a date such as 2026-11-20"),
        (("--include", ""), "an empty include, exclude, workflow or run selects nothing"),
        (("--include", "[a"), "has a [ that is never closed"),
    ],
)
def test_ls_says_what_it_cannot_be_asked_for(
    owner: User, arguments: tuple[str, ...], words: str
) -> None:
    done = asked(owner, "ls", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_ls_says_where_nothing_fits(owner: User) -> None:
    done = asked(owner, "ls", ROCKET, "--include", "nothing")
    assert (done.code, done.out) == (0, "")
    assert done.err == "nothing to list: no artifact fits these options\n"
    assert json.loads(asked(owner, "ls", "--json", "--sha256", "0" * 64).out) == {"artifacts": []}


def test_path_prints_where_the_files_are_and_nothing_else(owner: User) -> None:
    root = owner.root
    done = asked(owner, "path", f"{ROCKET}@latest-success", "*.tar.gz")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{root}/{ROCKET}/1/ci/build/build/dist/app.tar.gz\n"
    latest = asked(owner, "path", f"{ROCKET}@latest", "*.gz", "junit.xml").out.splitlines()
    assert {it.split("/")[-1] for it in latest} == {"app.tar.gz", "junit.xml"}
    assert {it.removeprefix(f"{root}/{ROCKET}/")[0] for it in latest} == {"3"}
    every = asked(owner, "path", "-0", ROCKET).out
    assert every.endswith("\0")
    listed = {it["path"] for it in listed_here(owner, ROCKET)}
    assert {it.removeprefix(f"{root}/") for it in every.split("\0")[:-1]} == listed
    page = asked(owner, "path", f"https://sourcecraft.dev/{ROCKET}/cicd/runs/2", "index.html")
    assert page.out == f"{root}/{ROCKET}/2/docs/site/pages/site/index.html\n"


def listed_here(owner: User, *arguments: str) -> list[dict[str, Any]]:
    return listed(owner, *arguments, "--state", "mirrored")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((f"{ROCKET}@2", "junit.xml"), 1, f"no mirrored file of {ROCKET}@2 fits junit.xml; there"),
        ((f"{ROCKET}@77",), 1, f"{ROCKET} has no run 77: "),
        (("acme/docs@latest",), 1, "acme/docs has no complete run so far: "),
        (("acme/docs@latest-success",), 1, "acme/docs has no complete run that succeeded so far"),
        (("acme/rockt",), 1, "nothing of acme/rockt is mirrored; what is: acme/docs, "),
        ((f"{ROCKET}@",), 2, "ends with @ and names no run: leave the @ out"),
        (("acme",), 2, "expected ORG/REPO"),
    ],
)
def test_path_says_on_stderr_why_there_is_none(
    owner: User, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = asked(owner, "path", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err


def test_path_forges_no_lines(owner: User) -> None:
    """Guards against: a folder's name that a script takes for the end of one path."""
    elsewhere = owner.folder / "two\nlines"
    elsewhere.symlink_to(owner.root)
    done = owner.run("path", ROCKET, "--root", elsewhere)
    assert (done.code, done.out) == (2, "")
    assert "a path would be taken for several lines: " in done.err
    assert r"two\x0alines" in done.err or r"two\nlines" in done.err
    paths = owner.run("path", ROCKET, "-0", "--root", elsewhere).out.split("\0")
    assert all(it.startswith(f"{elsewhere}/") for it in paths[:-1])


def parts(owner: User, *arguments: str) -> tuple[dict[str, Any], dict[str, tuple[int, int, int]]]:
    """The answer of ``du`` without its parts, and these by name."""
    answer = asked(owner, "du", "--json", *arguments).answer
    found = answer.pop("parts")
    sizes = [it["bytes"] for it in found]
    assert sizes == sorted(sizes, reverse=True)
    assert answer["bytes"] == sum(sizes)
    return answer, {it["name"]: (it["bytes"], it["files"], it["runs"]) for it in found}


def test_du_tells_the_story_of_ls_status_and_the_disk(owner: User) -> None:
    folder = owner.root / ".artifact-sync"
    displaced = folder / "displaced/20261101T000000Z" / ROCKET / "1/old"
    displaced.parent.mkdir(parents=True, exist_ok=True)
    displaced.write_bytes(b"x" * 100)
    strange = folder / "displaced/20261101T000000Z/elsewhere"
    strange.write_bytes(b"x" * 11)
    listed = listed_here(owner)
    told = {it["repo"]: it for it in asked(owner, "status", "--json").answer["repositories"]}
    total = sum(map(len, owner.files().values()))
    beside = {"shared_bytes": 0, "staging_bytes": owner.staged()}
    everything = {"bytes": total, "displaced_bytes": 111, **beside}
    for by, key in (("repo", "repo"), ("workflow", "workflow"), ("path", "local_path")):
        answer, found = parts(owner, "--by", by)
        assert answer == everything
        sums: dict[str, tuple[int, int, set[tuple[str, str]]]] = {}
        for it in listed:
            name = it[key].removeprefix("./") if by == "path" else it[key]
            size, files, runs = sums.get(name, (0, 0, set()))
            sums[name] = (size + it["size"], files + 1, runs | {(it["repo"], it["run"])})
        assert found == {name: (size, n, len(runs)) for name, (size, n, runs) in sums.items()}
    answer, found = parts(owner, ROCKET, "--by", "run")
    assert set(found) == {f"{ROCKET}@{run}" for run in "123"}
    rocket = {"bytes": told[ROCKET]["bytes"], "displaced_bytes": 100, **beside}
    assert answer == rocket
    for by in ("workflow", "path"):
        assert parts(owner, ROCKET, "--by", by)[0] == rocket
    assert parts(owner, "acme")[1] == parts(owner)[1]
    displaced.unlink()
    strange.unlink()


def test_du_is_a_table_with_the_largest_first(owner: User) -> None:
    done = asked(owner, "du")
    head, rocket, website, every = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert head.split() == ["SIZE", "FILES", "RUNS", "REPO"]
    assert rocket.split()[2:] == ["11", "3", ROCKET]
    assert website.split()[2:] == ["4", "1", WEBSITE]
    assert every.split()[2:] == ["15", "in", "all"]
    refused = asked(owner, "du", "acne")
    assert (refused.code, refused.out) == (2, "")
    assert "nothing of acne/* is mirrored; what is: acme/docs" in refused.err
    nothing = owner.run("du", "--root", owner.folder / "nowhere", "--json")
    sums = dict.fromkeys(("bytes", "shared_bytes", "displaced_bytes", "staging_bytes"), 0)
    assert (nothing.code, nothing.answer) == (0, {**sums, "parts": []})


def why(owner: User, path: object, **environ: str) -> dict[str, Any]:
    return owner.run("why", path, "--json", "--root", owner.root, **environ).answer


def test_why_tells_of_a_file_by_any_name_of_it(owner: User) -> None:
    (archive,) = listed(owner, ROCKET, "--run", "3", "--include", "*.tar.gz")
    path = archive["path"]
    told = why(owner, path)
    assert (told["complete"], told["failures"], told["artifact"]) == (True, [], archive)
    assert told["rule"] == {"wanted": True, "entry": None, "key": None, "value": None}
    assert [(it["ok"], it["at"]) for it in told["tries"]] == [(True, archive["mirrored_at"])]
    assert (told["run"]["status"], told["run"]["complete"]) == ("failed", True)
    assert told["kept"]["action"] == "keep"
    assert told["next"] == "nothing: it is here, and stays while its run does"
    latest = path.replace("/3/", "/latest/")
    key = f"{ROCKET}/3/ci/build/build/{ARCHIVE}"
    for name in (owner.root / path, f"mirror/{path}", f"mirror/{latest}", latest, key):
        assert why(owner, name) == told


def test_why_tells_each_try_of_what_has_failed_and_what_comes_next(owner: User) -> None:
    (report,) = listed(owner, "--state", "gone")
    assert report["path"] is None
    key = f"{ROCKET}/2/ci/build/build/{REPORT}"
    before = why(owner, key)["tries"]
    assert owner.sync(ROCKET, **TWO_TRIES).code == 1
    told = why(owner, key)
    assert [it["reason"] for it in told["tries"]] == ["gone"] * (len(before) + 1)
    assert told["artifact"]["attempts"] == len(told["tries"]) >= 2
    assert "tries again" in told["next"]
    words = asked(owner, "why", key).out
    assert words.startswith(f"gone: {REPORT} of {ROCKET} run 2, ci/build/build\n")
    assert words.count("the file's server answered 404 (NoSuchKey) [gone]") == len(told["tries"])


def test_why_names_the_rule_that_decides(owner: User) -> None:
    config = owner.folder / "rules.toml"
    config.write_text(
        f"""[mirror]
root = "{owner.root}"
[keep]
last = 1
[[repo]]
name = "acme/*"
include = ["*.gz", "*.html"]
exclude = ["site/"]
"""
    )

    def rule(path: str) -> dict[str, Any]:
        told = owner.run("why", path, "--json", "--config", config).answer
        assert told["rule"].pop("entry") == "acme/*"
        return told

    of_run = f"{ROCKET}/1/"
    archive = rule(f"{of_run}ci/build/build/dist/app.tar.gz")
    assert archive["rule"] == {"wanted": True, "key": "include", "value": "*.gz"}
    assert archive["kept"]["action"] == "keep"
    page = rule(f"{of_run}docs/site/pages/{PAGE}")
    assert page["rule"] == {"wanted": False, "key": "exclude", "value": "site/"}
    assert page["next"] == "nothing: it is here, and stays, though no rule wants it now"
    report = rule(f"{of_run}ci/build/build/{REPORT}")
    assert report["rule"] == {"wanted": False, "key": "include", "value": REPORT}
    assert asked(owner, "pin", ROCKET, "1", "--reason", "sold").code == 0
    pinned = why(owner, archive["artifact"]["path"])
    assert pinned["run"]["pinned"] == "sold"
    assert {"no rule is set", "pin"} <= set(pinned["kept"]["why"])
    assert asked(owner, "unpin", ROCKET, "1").code == 0


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"{ROCKET}/1/ci", f"{ROCKET}/1/ci is a folder: name a file of it, such as {ROCKET}/1/ci/"),
        (f"{ROCKET}/1/run.json", "is a manifest, no artifact: artifact-sync show acme/rocket 1"),
        (f"{ROCKET}/1/x", f"no artifact is known at {ROCKET}/1/x: artifact-sync ls {ROCKET} --run"),
        ("x\n\x1b", r"no artifact is known at x\n\x1b: artifact-sync ls --all --include GLOB"),
        ("", "no artifact is known at"),
    ],
)
def test_why_says_what_it_knows_nothing_of(owner: User, path: str, words: str) -> None:
    done = asked(owner, "why", path)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    told = why(owner, path)
    assert (told["complete"], told["artifact"], told["exit_code"]) == (False, None, 2)


def test_why_calls_no_run_complete_of_which_a_file_is_lost(owner: User) -> None:
    lost, other = (listed(owner, ROCKET, "--run", "3", "--include", it)[0]["path"]
                   for it in (ARCHIVE, REPORT))  # fmt: skip
    file = owner.root / lost
    content = file.read_bytes()
    file.unlink()
    assert asked(owner, "verify", ROCKET).code == 1
    for path in (lost, other):
        assert why(owner, path)["run"]["complete"] is False
        assert ", no longer complete here\n" in asked(owner, "why", path).out
    file.write_bytes(content)
    assert asked(owner, "verify", ROCKET).code == 0
    assert why(owner, other)["run"]["complete"] is True
    assert ", complete here\n" in asked(owner, "why", other).out
