"""Everything that comes from outside, garbled: a bounded sample, or ``make fuzz`` for minutes."""

from __future__ import annotations

import os
import sys
import time

import fuzz_inputs
import fuzz_passes
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from keeping_machine import KeepingMachine

MINUTES = float(os.environ.get("FUZZ_MINUTES") or 30)
TARGETS = {
    it.__name__: (it, examples)
    for it, examples in (
        (fuzz_passes.payloads, 12),
        (fuzz_passes.api_answers, 12),
        (fuzz_passes.downloads, 12),
        (fuzz_passes.wrong_types, 8),
        (fuzz_inputs.configurations, 60),
        (fuzz_inputs.environments, 60),
        (fuzz_inputs.web_requests, 20),
        (fuzz_inputs.control_requests, 20),
    )
}
"""By name, with how many examples are a sample."""
USUAL = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("name", TARGETS)
def test_garbled_input_ends_in_words(name: str) -> None:
    target, examples = TARGETS[name]
    settings(max_examples=examples, derandomize=True, **USUAL)(target)()


@pytest.mark.fuzz
@pytest.mark.timeout(MINUTES * 60 + 300)
@pytest.mark.parametrize("name", TARGETS)
def test_garbled_input_ends_in_words_for_minutes(name: str) -> None:
    target = settings(max_examples=100, database=None, **USUAL)(TARGETS[name][0])  # once only
    end = time.monotonic() + MINUTES * 60 / len(TARGETS)
    count = 0
    while time.monotonic() < end:
        target()
        count += 100
    sys.stdout.write(f"{name}: {count} examples\n")


ANYTHING = {"stateful_step_count": 12, **USUAL}


@pytest.mark.skipif(sys.platform == "win32", reason="calls fork")
def test_whatever_befalls_mirror_and_origin_all_commands_tell_one_story() -> None:
    phases = [Phase.generate]  # to make an example smaller takes minutes
    sample = settings(max_examples=5, derandomize=True, phases=phases, **ANYTHING)
    run_state_machine_as_test(KeepingMachine, settings=sample)


@pytest.mark.fuzz
@pytest.mark.timeout(MINUTES * 60 + 300)
def test_whatever_befalls_mirror_and_origin_for_minutes() -> None:
    many = settings(max_examples=20, database=None, **ANYTHING)
    end = time.monotonic() + MINUTES * 60 / len(TARGETS)
    while time.monotonic() < end:
        run_state_machine_as_test(KeepingMachine, settings=many)
