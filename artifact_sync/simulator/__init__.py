"""A SourceCraft stand-in for demo, tests and trials.

Real HTTP, links that lapse, and faults on demand. Needs the ``web`` extra (Starlette and uvicorn),
so nothing imports this package unless it is used. Read ``scenario`` for what can be simulated,
``faults`` for what can go wrong, ``Simulator`` for what can be changed while it answers.
"""

from __future__ import annotations

from artifact_sync.simulator.scenario import (
    Cube,
    Files,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    demo_scenario,
    demo_text,
    load_scenario,
    parse_scenario,
)
from artifact_sync.simulator.simulator import Running, Simulator, running_in_thread

__all__ = [
    "Cube",
    "Files",
    "Repo",
    "Running",
    "Scenario",
    "ScenarioApi",
    "ScenarioArtifact",
    "ScenarioRun",
    "Simulator",
    "demo_scenario",
    "demo_text",
    "load_scenario",
    "parse_scenario",
    "running_in_thread",
]
