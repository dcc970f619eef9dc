"""Promises of globs and of collecting that hold for every input."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.domain.model import Artifact, CubeKey, RepoName, Run, RunKey
from artifact_sync.domain.settings import DEFAULT_LAYOUT, RepoSettings
from artifact_sync.sync.collect import collect
from artifact_sync.sync.rules import Rules

RUN = RunKey(RepoName("org", "repo"), "7")
STATUSES = ("success", "registered", "failed", "missing", "AS_SUCCESS", "")

components = st.text("ab.", min_size=1, max_size=3).filter(lambda part: part not in {".", ".."})
paths = st.lists(components, min_size=1, max_size=4).map("/".join)
glob_parts = st.sampled_from(["a", "b", ".", "*", "**", "?", "/", "[ab]", "[!a]", "/**/", "**/"])
globs = st.lists(glob_parts, min_size=1, max_size=7).map("".join)
artifacts = st.builds(
    Artifact,
    st.builds(
        CubeKey(RUN, "w", "t", "c").artifact, st.sampled_from(["a", "b", "./c", "d/", "a/b"])
    ),
    st.sampled_from(STATUSES),
    url=st.sampled_from(["", "https://h/1", "https://h/2"]),
)


def rules(**settings: tuple[str, ...]) -> Rules:
    return Rules.of(RepoSettings(name="org/repo", **settings), DEFAULT_LAYOUT)


def wants(selection: Rules, path: str) -> bool:
    return selection.wants(CubeKey(RUN, "w", "t", "c").artifact(path))


def tokens(glob: str) -> tuple[str, ...]:
    """A glob of the alphabet above, cut up slowly: ``/**`` as a component, stars, characters."""
    found: list[str] = []
    rest = glob
    while rest:
        if rest == "/**" or rest.startswith("/**/"):
            size, token = 3, "/**"
        elif rest.startswith("*"):
            size = len(rest) - len(rest.lstrip("*"))
            token = "*"
        else:
            size = rest.index("]") + 1 if rest.startswith("[") else 1
            token = rest[:size]
        found.append(token)
        rest = rest[size:]
    return tuple(found)


def fits_slowly(glob: str, path: str) -> bool:
    """The definition of a glob, tried out in every way that there is."""
    plain = "/".join(part for part in glob.split("/") if part not in {"", "."})
    if not plain:
        return True
    anywhere = "/" not in plain and not glob.startswith("/")
    parts = tokens(f"/**/{plain}" if anywhere else f"/{plain}")
    text = f"/{path}"

    @cache
    def fits(part: int, at: int) -> bool:
        at_end_of_component = at == len(text) or text[at] == "/"
        if part == len(parts):
            return at_end_of_component
        token = parts[part]
        if token in {"*", "/**"}:
            if token == "/**" and not at_end_of_component:
                return False
            return any(fits(part + 1, later) for later in range(at, len(text) + 1))
        if at == len(text):
            return False
        ranges = {"[ab]": text[at] in "ab", "[!a]": text[at] != "a", "?": True}
        return ranges.get(token, text[at] == token) and fits(part + 1, at + 1)

    return fits(0, 0)


@given(globs, paths)
def test_a_glob_fits_exactly_what_its_definition_says(glob, path):
    assert wants(rules(include=(glob,)), path) is fits_slowly(glob, path)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_is_a_glob_or_a_path_that_breaks_the_rules(glob, path):
    selection = rules(include=(glob,), exclude=(glob,), workflows=(glob,))
    assert wants(selection, path) is False
    assert isinstance(selection.wants_workflow(path), bool)


@given(paths, paths)
def test_a_plain_path_selects_itself_and_all_below_however_it_is_spelt(path, below):
    for glob in (path, f"./{path}", f"{path}/", f"./{path}/", f"/{path}"):
        for spelt in (path, f"./{path}", f"{path}/", f"{path}/{below}"):
            assert wants(rules(include=(glob,)), spelt)
            assert not wants(rules(exclude=(glob,)), spelt)


@given(st.lists(globs, max_size=3), st.lists(globs, max_size=3), paths)
def test_exclude_takes_away_and_never_adds(include, exclude, path):
    with_both = rules(include=tuple(include), exclude=tuple(exclude))
    without = rules(include=tuple(include))
    excluded = any(wants(rules(include=(glob,)), path) for glob in exclude)
    assert wants(with_both, path) is (wants(without, path) and not excluded)


@given(st.lists(globs), st.lists(globs), st.randoms(use_true_random=False))
def test_the_fingerprint_depends_on_no_order(include, exclude, shuffler):
    one = rules(include=tuple(include), exclude=tuple(exclude)).fingerprint
    shuffler.shuffle(include)
    shuffler.shuffle(exclude)
    assert rules(include=tuple(include), exclude=tuple(exclude)).fingerprint == one


@given(st.lists(artifacts, max_size=12), st.lists(globs, max_size=2))
def test_every_artifact_is_shown_once(tree, exclude):
    found = collect(Run(RUN, "success", artifacts=tuple(tree)), rules(exclude=tuple(exclude)))
    shown = [artifact.key for artifact in (*found.selected, *found.pending)]
    assert len(shown) == len(set(shown))
    assert all(artifact in tree for artifact in (*found.selected, *found.pending))


@given(st.lists(artifacts, max_size=12))
def test_what_is_there_by_any_mention_is_selected_with_a_link_if_any_has_one(tree):
    found = collect(Run(RUN, "success", artifacts=tuple(tree)), rules())
    there = [artifact for artifact in tree if artifact.status == "success"]
    assert {artifact.key for artifact in found.selected} == {artifact.key for artifact in there}
    assert {artifact.key for artifact in found.selected if artifact.url} == {
        artifact.key for artifact in there if artifact.url
    }
    assert not any(artifact.status == "success" for artifact in found.pending)


@given(st.lists(artifacts, max_size=12))
def test_collecting_what_was_collected_changes_nothing(tree):
    once = collect(Run(RUN, "success", artifacts=tuple(tree)), rules())
    again = collect(Run(RUN, "success", artifacts=once.selected), rules())
    assert again.selected == once.selected
    assert again.pending == ()
