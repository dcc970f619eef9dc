"""A changed configuration is taken up; one that is not valid is not, and both are told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structlog.testing import capture_logs

from artifact_sync.daemon.reload import Reloader
from artifact_sync.daemon.systemd import Supervisor
from artifact_sync.domain.errors import ConfigError, DiskError
from artifact_sync.domain.settings import Config, DownloadSettings, MirrorSettings
from artifact_sync.domain.status import ConfigState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from artifact_sync.config.difference import Changes

PATH = Path("/etc/artifact-sync/config.toml")
BEGIN = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
GONE = ConfigError([f"{PATH}: there is no such file"])
HALF = ConfigError([f"{PATH}:3:1: not valid TOML: cut short", f"{PATH}:2: download.jobs: no"])
SUPERVISED = ["reloading", "ready"]


def config(jobs: int = 8, **mirror: Any) -> Config:
    download = DownloadSettings(jobs=jobs)
    return Config(download=download, mirror=MirrorSettings(**mirror), path=PATH)


class Clock:
    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.slept)

    def monotonic(self) -> float:
        return self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        await asyncio.sleep(0)


class Recorder(Supervisor):
    """A supervisor that remembers the order of things."""

    def __init__(self, story: list[str]) -> None:
        super().__init__()
        self._story = story

    def reloading(self) -> None:
        self._story.append("reloading")

    def ready(self, status: str) -> None:
        self._story.append("ready")
        self.last = status


class World:
    """A file that holds what the test puts there, and a daemon that takes it up."""

    def __init__(self) -> None:
        self.answers: list[Config | Exception] = [config()]
        """What each reading finds; the last one stays."""
        self.story: list[str] = []
        self.applied: list[tuple[Config, Changes]] = []
        self.refusal: Exception | None = None
        self.token: Exception | None = None
        self.supervisor = Recorder(self.story)
        self.clock = Clock()
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()
        self.reloader = Reloader(self, self.supervisor, self.clock, config())

    async def load_config(self) -> Config:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def apply_config(self, new: Config, changes: Changes) -> None:
        self.story.append(f"apply {new.download.jobs}")
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        self.applied.append((new, changes))
        self.story.append(f"applied {new.download.jobs}")

    async def refresh_token(self) -> None:
        self.story.append("refresh")
        if self.token is not None:
            raise self.token

    def again(self, *answers: Config | Exception, asked: bool = False) -> list[str]:
        """A reload that finds these; what the log says of it."""
        self.answers = list(answers) or self.answers
        with capture_logs() as logs:
            asyncio.run(self.reloader.reload(asked=asked))
        return [line(entry) for entry in logs if entry["log_level"] != "debug"]


def line(entry: Any) -> str:
    values = [f"{k}={v}" for k, v in entry.items() if k not in {"event", "log_level"}]
    return " ".join([f"{entry['log_level']}: {entry['event']}", *values])


def refused(problem: str) -> str:
    return f"error: the new configuration is not used, the old one stays problem={problem}"


JOBS_4 = "info: the configuration has changed key=download.jobs change=8 → 4"
VALID_AGAIN = f"info: the configuration is valid again path={PATH}"
ROOT_WAITS = (
    "warning: this takes effect when artifact-sync is restarted"
    ' key=mirror.root change=not set → "/new"'
)


def test_what_changed_is_applied_between_reloading_and_ready_and_logged_line_by_line():
    world = World()
    said = world.again(config(4, min_free=1000))
    assert world.story == ["reloading", "apply 4", "applied 4", "ready", "refresh"]
    assert said == [
        'info: the configuration has changed key=mirror.min_free change="0" → "1kB"',
        JOBS_4,
    ]
    assert world.reloader.current == config(4, min_free=1000)
    assert world.applied[0][1].live == {
        "mirror.min_free": '"0" → "1kB"',
        "download.jobs": "8 → 4",
    }


def test_the_state_tells_the_file_and_when_the_one_in_use_was_loaded():
    world = World()
    assert world.reloader.state == ConfigState(
        path=str(PATH), loaded_at="2026-11-24T08:00:00+00:00", problems=(), restart_needed=()
    )
    world.clock.slept = 60
    world.again(config())
    assert world.reloader.state.loaded_at == "2026-11-24T08:00:00+00:00"
    world.again(config(4))
    assert world.reloader.state.loaded_at == "2026-11-24T08:01:00+00:00"


def test_an_event_that_changes_nothing_is_silent_but_the_token_is_read():
    world = World()
    assert world.again(config()) == []
    assert world.story == ["refresh"]


def test_whoever_asks_is_always_answered_also_when_nothing_has_changed():
    world = World()
    said = world.again(config(), asked=True)
    assert said == [f"info: nothing has changed in the configuration path={PATH}"]
    assert world.story == ["reloading", "refresh", "ready"]


def test_whoever_asks_for_what_has_changed_gets_one_answer():
    world = World()
    assert world.again(config(4), asked=True) == [JOBS_4]
    assert world.story == ["reloading", "apply 4", "applied 4", "refresh", "ready"]
    assert world.supervisor.last == "configuration loaded"


def test_whoever_asks_is_answered_when_the_file_is_not_valid():
    world = World()
    world.again(HALF, asked=True)
    assert world.story == ["reloading", "refresh", "ready"]
    assert world.supervisor.last == "configuration not usable, see the log"


def test_an_invalid_file_leaves_the_old_one_and_every_problem_is_logged_once():
    world = World()
    assert world.again(HALF) == [refused(problem) for problem in HALF.problems]
    assert world.again(HALF) == []
    assert world.reloader.state.problems == HALF.problems
    assert world.reloader.current == config()
    assert world.applied == []
    assert world.again(GONE) == [refused(GONE.problems[0])]


def test_a_file_that_is_as_it_was_again_is_logged_as_valid():
    world = World()
    world.again(HALF)
    assert world.again(config()) == [VALID_AGAIN]
    assert world.reloader.state.problems == ()
    assert world.again(config()) == []


def test_an_invalid_file_that_is_mended_and_changed_tells_both():
    world = World()
    world.again(HALF)
    assert world.again(config(4)) == [VALID_AGAIN, JOBS_4]


def test_a_file_that_an_editor_is_at_is_waited_for():
    for meanwhile in (GONE, HALF):
        world = World()
        assert world.again(meanwhile, config(4)) == [JOBS_4]
        assert world.clock.slept == 0.5


def test_a_file_that_stays_gone_is_a_problem_and_the_old_configuration_stays():
    world = World()
    assert world.again(GONE) == [refused(GONE.problems[0])]
    assert world.clock.slept == 0.5
    assert world.reloader.current == config()


def test_an_error_of_another_kind_is_logged_without_its_text():
    world = World()
    said = world.again(ValueError("token=hush"))
    assert said == [refused(f"{PATH}: cannot be read: an internal error (ValueError)")]
    assert world.reloader.state.problems == (
        f"{PATH}: cannot be read: an internal error (ValueError)",
    )


def test_what_waits_for_a_restart_keeps_its_old_value_and_is_logged_once():
    world = World()
    assert world.again(config(root=Path("/new"))) == [ROOT_WAITS]
    assert world.again(config(root=Path("/new"))) == []
    assert world.reloader.state.restart_needed == ("mirror.root",)
    assert world.reloader.current == config()
    assert world.story == ["refresh", "refresh"]


def test_a_reload_that_was_asked_for_logs_again_what_waits_for_a_restart():
    world = World()
    world.again(config(root=Path("/new")))
    assert world.again(config(root=Path("/new")), asked=True) == [ROOT_WAITS]


def test_what_can_change_does_while_the_rest_waits():
    world = World()
    assert world.again(config(4, root=Path("/new"))) == [ROOT_WAITS, JOBS_4]
    assert world.reloader.current == config(4)
    assert world.reloader.state.restart_needed == ("mirror.root",)
    assert world.again(config(4)) == []
    assert world.reloader.state.restart_needed == ()


def test_when_it_cannot_be_put_into_effect_ready_still_follows_and_the_old_one_stays():
    world = World()
    world.refusal = DiskError("no such CA bundle")
    problem = "it cannot be put into effect: no such CA bundle"
    assert world.again(config(4)) == [refused(problem)]
    assert world.story == ["reloading", "apply 4", "ready", "refresh"]
    assert world.reloader.state.problems == (problem,)
    assert world.reloader.current == config()
    assert world.again(config(4)) == []
    world.refusal = None
    assert world.again(config(4)) == [VALID_AGAIN, JOBS_4]
    assert world.reloader.state.problems == ()


def test_a_cancelled_reload_is_answered_by_ready():
    async def story(world: World) -> None:
        world.gate = asyncio.Event()
        world.answers = [config(4)]
        task = asyncio.create_task(world.reloader.reload(asked=False))
        async with asyncio.timeout(10):
            await world.reached.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    world = World()
    asyncio.run(story(world))
    assert world.story == ["reloading", "apply 4", "ready"]
    assert world.reloader.current == config()


def test_two_reloads_at_once_are_made_one_after_the_other():
    async def story(world: World) -> None:
        world.gate = asyncio.Event()
        world.answers = [config(4), config(5)]
        both = asyncio.gather(*(world.reloader.reload(asked=False) for _ in range(2)))
        async with asyncio.timeout(10):
            await world.reached.wait()
            world.gate.set()
            await both

    world = World()
    asyncio.run(story(world))
    one = ["reloading", "apply {0}", "applied {0}", "ready", "refresh"]
    assert world.story == [text.format(jobs) for jobs in (4, 5) for text in one]
    assert world.reloader.current == config(5)


def test_a_token_that_cannot_be_read_is_a_problem_and_stops_nothing():
    world = World()
    world.token = ConfigError(["token file /t: is empty"])
    problem = "error: the token cannot be read, the old one stays problem=token file /t: is empty"
    assert world.again(config(4)) == [JOBS_4, problem]
    assert world.reloader.state.problems == ("token file /t: is empty",)
    assert world.again(config(4)) == []
    world.token = None
    assert world.again(config(4)) == ["info: the token can be read again"]
    assert world.reloader.state.problems == ()


def test_the_token_is_read_also_while_the_configuration_is_not_valid():
    world = World()
    world.token = RuntimeError("hush")
    world.again(HALF)
    assert world.story == ["refresh"]
    assert world.reloader.state.problems == (*HALF.problems, "an internal error (RuntimeError)")


def test_each_change_of_the_files_makes_a_reload():
    async def twice() -> AsyncIterator[None]:
        yield
        yield

    world = World()
    world.answers = [config(4), config(5)]
    asyncio.run(world.reloader.run(twice()))
    assert world.reloader.current == config(5)
    assert world.story.count("refresh") == 2
