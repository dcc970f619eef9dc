"""How the suite itself is distributed."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("proof")
def test_a_group_of_tests_is_kept_together(request: pytest.FixtureRequest) -> None:
    """pytest-xdist marks it in the test's id. If it can't, it says nothing, and each worker makes
    what was to be made once: systemd's box takes 40 s."""
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("no workers, no groups: make test has them")
    assert request.node.nodeid.endswith("@proof")
