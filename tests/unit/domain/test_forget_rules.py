"""What was let go, by rules of which the last one counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.domain.forget_rules import ForgetRule, ForgetRules, ForgetScope
from artifact_sync.domain.model import ArtifactKey, RepoName, RunKey

REPO = RepoName("acme", "rocket")
scopes = st.builds(
    lambda run, glob: ForgetScope(REPO, run, glob if run else ""),
    st.sampled_from(["", "1", "2"]),
    st.sampled_from(["", "*.log", "a*", "b.bin"]),
)
keys = st.builds(
    lambda run, path: ArtifactKey(*REPO, run, "w", "t", "c", path),
    st.sampled_from(["1", "2", "3"]),
    st.sampled_from(["a.log", "a.bin", "b.bin", "./dist/b.log"]),
)
steps = st.lists(st.tuples(st.booleans(), scopes), max_size=8)


def after(story: list[tuple[bool, ForgetScope]]) -> ForgetRules:
    rules = ForgetRules()
    for forgets, scope in story:
        rules = rules.forgetting(ForgetRule(scope)) if forgets else rules.remembering(scope)
    return rules


@given(steps, keys)
def test_the_last_word_about_an_artifact_counts(
    story: list[tuple[bool, ForgetScope]], key: ArtifactKey
) -> None:
    last = [forgets for forgets, scope in story if scope.holds(key)][-1:]
    assert after(story).forgets(key) is (last == [True])


@given(steps, keys)
def test_what_is_let_go_as_a_whole_is_let_go_in_each_part(
    story: list[tuple[bool, ForgetScope]], key: ArtifactKey
) -> None:
    rules = after(story)
    if rules.forgets_run(key.run_key):
        assert rules.forgets(key)
    if rules.forgets_repository:
        assert rules.forgets_run(key.run_key)


@given(steps)
def test_who_remembers_all_has_no_rules_left(story: list[tuple[bool, ForgetScope]]) -> None:
    assert after([*story, (False, ForgetScope(REPO))]).rules == ()
    rules = after([*story, (True, ForgetScope(REPO))])
    assert rules.forgets_repository
    assert len(rules.rules) == 1


def test_a_scope_takes_paths_as_filters_do() -> None:
    scope = ForgetScope(REPO, "1", "dist/*.gz")
    key = ArtifactKey(*REPO, "1", "w", "t", "c", "./dist/app.tar.gz")
    assert scope.holds(key)
    assert not scope.holds(key._replace(local_path="other/dist/app.tar.gz"))
    assert not scope.holds(key._replace(run="2"))
    assert not scope.holds(key._replace(org="other"))
    assert ForgetRules().forgets_run(RunKey(REPO, "1")) is False
