"""The layout: where artifacts go, which names are encoded, which paths are refused."""

from __future__ import annotations

import pytest

from artifact_sync.domain.errors import UnsafePath, UsageError
from artifact_sync.domain.model import ArtifactKey, RepoName, RunKey
from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.mirror.layout import Layout, layout_problems

LAYOUT = Layout(DEFAULT_LAYOUT)
KEY = ArtifactKey("acme", "shop", "42", "build", "compile", "linux", "app.tar")


def place(**changes: str) -> str:
    return LAYOUT.place(KEY._replace(**changes))


def file(local_path: str) -> str:
    return place(local_path=local_path).removeprefix("acme/shop/42/build/compile/linux/")


def test_an_artifact_goes_where_the_template_says():
    assert place() == "acme/shop/42/build/compile/linux/app.tar"


def test_literal_text_may_stand_around_a_field():
    layout = Layout("ci/{org}/{repo}/run-{run}/{workflow}.wf/{task}/c{cube}/{local_path}")
    assert layout.place(KEY) == "ci/acme/shop/run-42/build.wf/compile/clinux/app.tar"
    assert layout.run_folder(KEY.run_key) == "ci/acme/shop/run-42"
    assert layout.repo_folder(RepoName("acme", "shop")) == "ci/acme/shop"


def test_manifests_and_latest_links_have_their_places():
    assert LAYOUT.manifests(KEY.run_key) == ("acme/shop/42/SHA256SUMS", "acme/shop/42/run.json")
    assert LAYOUT.latest(RepoName("acme", "shop")) == (
        "acme/shop/latest",
        "acme/shop/latest-success",
    )


@pytest.mark.parametrize(
    ("local_path", "name"),
    [
        ("./a/b", "a/b"),
        ("dist/", "dist"),
        ("a//b", "a/b"),
        ("././a/./b", "a/b"),
        (".thing.output.json", ".thing.output.json"),
        (".debug/x.log", ".debug/x.log"),
        ("a..b", "a..b"),
        ("..a", "..a"),
        ("отчёт/сборка 1.html", "отчёт/сборка 1.html"),
        (" leading", " leading"),
        ("🎉.txt", "🎉.txt"),
        ("%2e%2e%2fetc/passwd", "%2e%2e%2fetc/passwd"),
        ("build/*.tar?", "build/%2A.tar%3F"),
        ('<a>"b"|c:d', "%3Ca%3E%22b%22%7Cc%3Ad"),
        (".artifact-sync/x", ".artifact-sync/x"),
        ("console.log", "console.log"),
        ("com10", "com10"),
        ("я" * 127, "я" * 127),
        ("/".join(["d"] * 100), "/".join(["d"] * 100)),
    ],
)
def test_odd_but_legal_paths_work(local_path, name):
    assert file(local_path) == name


@pytest.mark.parametrize(
    ("local_path", "words"),
    [
        (".", "names no file"),
        ("./", "names no file"),
        ("/etc/passwd", "is absolute"),
        ("//server/share", "is absolute"),
        ("..", "leads out"),
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
        ("a/..", "leads out"),
        ("C:/x", "drive letter"),
        ("./c:x", "drive letter"),
        ("\\\\server\\share", "backslash"),
        ("a\\..\\b", "backslash"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\x7fb", "control character"),
        ("a\x85b", "control character"),
        ("a\u2028b", "control character"),
        ("a./b", "dot or a space"),
        ("a ", "dot or a space"),
        ("...", "dot or a space"),
        ("NUL", "device"),
        ("dir/con.txt", "device"),
        ("Com1.tar.gz", "device"),
        ("lpt³", "device"),
        ("aux .txt", "device"),
        ("CONIN$", "device"),
        ("a\ud800b", "not valid Unicode"),
        ("x" * 256, "longer than 255 bytes"),
        ("я" * 128, "longer than 255 bytes"),
        ("?" * 100, "longer than 255 bytes"),
        ("/".join(["d"] * 101), "more than 100 components"),
        ("/".join(["d" * 200] * 11), "longer than 2,000 bytes"),
    ],
)
def test_an_unsafe_path_is_refused_and_says_why(local_path, words):
    with pytest.raises(UnsafePath, match=words) as caught:
        place(local_path=local_path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        ("#git-clone", "#git-clone"),
        ("Сборка под Linux 🚀", "Сборка под Linux 🚀"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("..", ".%2E"),
        (".", "%2E"),
        ("a.", "a%2E"),
        ("a ", "a%20"),
        ("a\\b", "a%5Cb"),
        ('<>:"|?*', "%3C%3E%3A%22%7C%3F%2A"),
        ("a\0\n\x7f\x85\u2028", "a%00%0A%7F%C2%85%E2%80%A8"),
        ("\ud800", "%ED%A0%80"),
        ("con", "%63on"),
        ("NUL.tar", "%4EUL.tar"),
        ("com¹", "%63om¹"),
        ("run.json", "run.json"),
        ("latest", "latest"),
        (".artifact-sync", ".artifact-sync"),
    ],
)
def test_a_slug_is_encoded_as_one_component(slug, name):
    assert place(cube=slug) == f"acme/shop/42/build/compile/{name}/app.tar"


@pytest.mark.parametrize("field", ["org", "repo", "run", "workflow", "task", "cube"])
def test_an_empty_slug_is_refused(field):
    with pytest.raises(UnsafePath, match=f"the {field}: an empty name"):
        place(**{field: ""})


def test_names_of_ours_are_never_a_slugs():
    assert place(workflow="SHA256SUMS") == "acme/shop/42/%53HA256SUMS/compile/linux/app.tar"
    assert place(workflow="Run.JSON") == "acme/shop/42/%52un.JSON/compile/linux/app.tar"
    assert LAYOUT.run_folder(RunKey(RepoName("acme", "shop"), "latest")) == "acme/shop/%6Catest"
    assert place(run="LATEST-success").startswith("acme/shop/%4CATEST-success/")
    assert place(org=".Artifact-Sync").startswith("%2EArtifact-Sync/shop/")


def test_literal_text_and_a_slug_together_make_no_name_of_ours():
    layout = Layout("{org}/{repo}/{run}/run.{workflow}/con{task}/{cube}/{local_path}")
    place = layout.place(KEY._replace(workflow="json", task=".x"))
    assert place == "acme/shop/42/%72un.json/%63on.x/linux/app.tar"


def test_a_long_slug_is_cut_at_a_character_and_told_apart_by_its_hash():
    first, second = (place(cube="щ" * 200 + end).split("/")[5] for end in "ab")
    assert first != second
    assert first.startswith("щ" * 111 + "~")
    assert len(first.encode()) == 255
    assert place(cube=first).split("/")[5] != first
    looks_cut = "x~" + "0" * 32
    assert place(cube=looks_cut).split("/")[5] == "x%7E" + "0" * 32


def test_a_long_slug_leaves_room_for_the_text_around_it():
    layout = Layout("{org}/{repo}/{run}/{workflow}/{task}/cube-{cube}-x/{local_path}")
    name = layout.place(KEY._replace(cube="a" * 300)).split("/")[5]
    assert name.startswith("cube-aaa")
    assert name.endswith("-x")
    assert len(name) == 255


def test_paths_that_are_one_file_somewhere_share_a_key():
    key = Layout.collision_key
    assert key("a/README") == key("A/readme")
    assert key("é") == key("e\u0301") == key("É")
    assert key("straße") == key("STRASSE")
    assert key("a\u200db") == key("ab")
    assert key("a/b") != key("a/c")
    assert key("x²") != key("x2")


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (
            "{org}/{repo}/{run}/{workflow}/{task}/{local_path}",
            "the layout lacks {cube}: two artifacts could get the same path",
        ),
        ("{org}/{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}", "{org} more than once"),
        ("{org}/{repo}/{run}/{workflow}-{task}/{cube}/{local_path}", "more than one field"),
        ("{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}.bin", "must end with"),
        ("{org}/{repo}/{run}/{workflow}/{task}/{local_path}/{cube}", "must end with"),
        ("{run}/{org}/{repo}/{workflow}/{task}/{cube}/{local_path}", "{org} after {run}"),
        ("{org}/{repo}/{cube}/{run}/{workflow}/{task}/{local_path}", "{cube} before {run}"),
        ("/{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}", "begins or ends"),
        ("../{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}", "no safe name"),
        ("./{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}", "no safe name"),
        ("con/{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}", "no safe name"),
        ("a%b/{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}", "no safe name"),
        ("{org}/{repo}/{run}/{workflow}/{task}/{cube}./{local_path}", "no safe name"),
        ("x" * 101 + "/{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}", "no safe name"),
        ("{org}/{repo}/{run}/{workflow}/{task}/{cube}}/{local_path}", "brace"),
        ("{org!r}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}", "none of its fields"),
        (".Artifact-sync/{org}/{repo}/{run}/{workflow}/{task}/{cube}/{local_path}", "its own"),
        ("{org}/{repo}/{run}/RUN.json/{workflow}/{task}/{cube}/{local_path}", "the manifests"),
    ],
)
def test_a_template_that_could_go_wrong_is_refused(template, problem):
    assert any(problem in found for found in layout_problems(template))
    with pytest.raises(UsageError):
        Layout(template)


def test_every_missing_field_is_named():
    assert len(layout_problems("{local_path}")) == 6


def test_the_default_layout_has_no_problem():
    assert layout_problems(DEFAULT_LAYOUT) == ()


def test_a_log_stands_beside_the_folder_of_its_cube_in_every_layout():
    assert place(local_path="") == "acme/shop/42/build/compile/linux.log"
    assert place(local_path="", cube="#git/clone") == "acme/shop/42/build/compile/#git%2Fclone.log"
    assert place(local_path="", cube="con") == "acme/shop/42/build/compile/%63on.log"
    other = Layout("{org}/{repo}/{run}/{cube}/{workflow}/{task}/files/{local_path}")
    log = other.place(KEY._replace(local_path=""))
    assert log == "acme/shop/42/linux/build/compile/files.log"
    other = Layout("{org}/{repo}/{run}/{task}/{workflow}/c-{cube}-x/{local_path}")
    assert other.place(KEY._replace(local_path="")) == "acme/shop/42/compile/build/c-linux-x.log"
