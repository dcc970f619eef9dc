"""What the program is doing when it is struck: from one state of a small mirror to another."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, ClassVar

from archives import FILES, symlink, tar_of, zip_of
from daemon_user import READY, DaemonUser
from msgspec.structs import replace
from user import ARCHIVE, DAY, PAGE, REPORT, SIDECAR, TOKEN, Done, wait_until

from artifact_sync.simulator import Cube, Repo, Scenario, ScenarioApi, ScenarioArtifact, ScenarioRun
from artifact_sync.simulator.faults import StatusFault

if TYPE_CHECKING:
    from pathlib import Path

    from daemon_user import Daemon

    from artifact_sync.simulator import Running, Simulator

ROCKET = "acme/rocket"
STAGED = 700_000
"""Bytes of a file that goes through staging; smaller ones are published from memory."""


def organisation() -> Scenario:
    """Two runs, the newest of them no success: two values for the links."""
    runs = (_run("1", "success", days=2), _run("2", "failed", days=1))
    return Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=(Repo(ROCKET, runs=runs),))


def _run(slug: str, status: str, *, days: float) -> ScenarioRun:
    build = (
        ScenarioArtifact(ARCHIVE, size=STAGED),
        ScenarioArtifact(SIDECAR, sha256_of=ARCHIVE),
        ScenarioArtifact(REPORT, text=f"<testsuite name='{slug}'/>\n"),
    )
    page = (ScenarioArtifact(PAGE, text=f"<!doctype html><p>{slug}\n"),)
    cubes = (Cube(artifacts=build), Cube("pages", "docs", "site", artifacts=page))
    return ScenarioRun(slug, status, age=days * DAY, cubes=cubes)


def place(run: str, local_path: str) -> str:
    """Where an artifact belongs, below the root."""
    cube = "docs/site/pages" if local_path == PAGE else "ci/build/build"
    return f"{ROCKET}/{run}/{cube}/{local_path.removeprefix('./')}"


class Owner(DaemonUser):
    """A user whose mirror is alone in a folder, which can be watched."""

    def __init__(self, folder: Path, service: Running) -> None:
        super().__init__(folder, service)
        self.watched = folder / "watched"
        self.root = self.watched / "mirror"
        self.set_up()

    def set_up(self, text: str = "", **settings: object) -> None:
        """Write the configuration with the one repository, unless a text names it."""
        no_web = {"web__listen": None, "web__secret_files": None}
        usual = {**no_web, "daemon__interval": "1h", "daemon__grace": "5s"}
        self.configure(*(() if text else (ROCKET,)), text=text, **usual, **settings)


class Scene:
    """A first pass into an empty folder."""

    name: ClassVar[str] = "first"
    command: ClassVar[tuple[str, ...]] = ("sync", "--json", "--no-progress")
    refusals: ClassVar[frozenset[int]] = frozenset({1, 6})
    """With what it may end when the disk refuses."""

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        """Bring mirror and service into the state from which the program is to begin."""

    def configure(self, user: Owner) -> None:
        """Write what it is struck with into the user's configuration."""

    def act(self, user: Owner, environ: dict[str, str]) -> Done:
        """What is struck. After an error all is over, after SIGKILL nothing runs any more."""
        return user.run(*self.command, "--config", user.config, **environ)

    def faults(self, user: Owner) -> list[str]:
        """What else is wrong after a strike and the next pass."""
        del user
        return []

    def go_on(self, user: Owner, environ: dict[str, str] | None = None) -> Done:
        """The next pass, which nothing disturbs."""
        return user.run(*self.command, "--config", user.config, **environ or {})


class NewRun(Scene):
    """A run is new, and strangers stand where its file and one of its folders belong."""

    name = "new-run"

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        del simulator
        done = user.run("sync", ROCKET, "--run", "1", "--config", user.config)
        assert done.code == 0, done.err
        for path in (place("2", REPORT), f"{ROCKET}/2/docs"):
            stranger = user.root / path
            stranger.parent.mkdir(parents=True, exist_ok=True)
            stranger.write_bytes(b"a stranger")


class LeftAnew(Scene):
    """Files of a mirrored run have been left anew with other bytes, one of them through staging."""

    name = "left-anew"
    command = ("sync", ROCKET, "--run", "1", "--json", "--no-progress")

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        assert user.run("sync", "--config", user.config).code == 0
        simulator.change_content(ROCKET, "1", ARCHIVE, "anew")
        simulator.set_content(ROCKET, "1", PAGE, b"anew")


class MadeAnew(Scene):
    """The repository was deleted and made anew: its run 1 is another one than the mirrored one."""

    name = "made-anew"

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        assert user.run("sync", "--config", user.config).code == 0
        for run in ("1", "2"):
            simulator.remove_run(ROCKET, run)
        simulator.add_run(ROCKET, _run("1", "success", days=0.5))
        simulator.change_content(ROCKET, "1", ARCHIVE, "another")
        simulator.set_content(ROCKET, "1", REPORT, b"another report")
        simulator.set_content(ROCKET, "1", PAGE, b"another page")


class Repair(Scene):
    """Of a complete mirror files were changed and removed, and a manifest, and a link."""

    name = "repair"
    command = ("verify", "--repair", "--json")

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        del simulator
        assert user.run("sync", "--config", user.config).code == 0
        (user.root / place("1", ARCHIVE)).write_bytes(b"spoilt")
        (user.root / place("2", PAGE)).write_bytes(b"spoilt")
        (user.root / place("2", REPORT)).unlink()
        (user.root / ROCKET / "1" / "run.json").write_bytes(b"{}")
        (user.root / ROCKET / "latest").unlink()


class Logs(Scene):
    """The logs of a mirrored run are wanted, too; one is long, and comes by pages and staging."""

    name = "logs"

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        assert user.run("sync", "--config", user.config).code == 0
        for cube in simulator.run(ROCKET, "2").cubes:
            size = STAGED if cube.key.cube == "build" else 100
            cube.spec = replace(cube.spec, log_size=size, log_page=STAGED // 2)

    def configure(self, user: Owner) -> None:
        user.set_up(text=f'[[repo]]\nname = "{ROCKET}"\nlogs = true')


class Signed(LeftAnew):
    """The manifests are signed, and one of them changes."""

    name = "signed"
    signer = '(printf key; cat "$1") | sha256sum > "$1.sig"'

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        self.configure(user)
        super().arrange(user, simulator)

    def configure(self, user: Owner) -> None:
        user.set_up(mirror__sign_command=["sh", "-c", self.signer, "sh"])


class Told(Scene):
    """A hook is told of each run that is complete: once or again, and of none never."""

    name = "told"

    def configure(self, user: Owner) -> None:
        command = ["/bin/sh", "-c", f"cat >> {user.folder / 'told'}"]
        hook = f'[[hook]]\non = ["run.complete"]\ncommand = {json.dumps(command)}\n'
        user.set_up(text=f'[[repo]]\nname = "{ROCKET}"\n{hook}')

    def faults(self, user: Owner) -> list[str]:
        path = user.folder / "told"
        ids: dict[str, set[str]] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            it = json.loads(line)
            ids.setdefault(it["run"], set()).add(it["id"])
        missing = [f"the hook was never told of run {run}" for run in {"1", "2"} - ids.keys()]
        return missing + [f"run {run} has ids {some}" for run, some in ids.items() if len(some) > 1]


class Extract(Scene):
    """Archives are unpacked: of a run that is here, one of them anew, and of a new one.

    A stranger stands where one is to be unpacked.
    """

    name = "extract"
    archive = tar_of({**FILES, "big.bin": b"big" * 100_000}, [symlink("link", "site/index.html")])

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        simulator.set_content(ROCKET, "1", REPORT, zip_of(FILES))
        simulator.set_content(ROCKET, "1", PAGE, self.archive)
        self.configure(user)
        assert user.run("sync", ROCKET, "--run", "1", "--config", user.config).code == 0
        simulator.set_content(ROCKET, "2", PAGE, self.archive)
        simulator.set_content(ROCKET, "2", REPORT, zip_of(FILES))
        simulator.set_content(ROCKET, "1", REPORT, zip_of({"other/file": b"other"}))
        stranger = user.root / f"{place('2', PAGE)}.d"
        stranger.parent.mkdir(parents=True)
        stranger.write_bytes(b"a stranger")

    def configure(self, user: Owner) -> None:
        user.set_up(text=f'[[repo]]\nname = "{ROCKET}"\nextract = ["{REPORT}", "{PAGE}"]')


class LateLogs(Logs):
    """The logs of a complete run could not be had, and now they can: its manifests follow."""

    name = "late-logs"
    command = ("sync", ROCKET, "--run", "2", "--json", "--no-progress")

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        super().arrange(user, simulator)
        self.configure(user)
        simulator.add_fault(StatusFault(on="api", endpoint="logs", run="2", status=403))
        assert user.run("sync", "--config", user.config).code == 1
        simulator.clear_faults()


class Forget(Scene):
    """The newest run is let go with its files; somebody else's file is in its folder."""

    name = "forget"
    command = ("forget", ROCKET, "2", "--delete", "--yes", "--json")

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        del simulator
        assert user.run("sync", "--config", user.config).code == 0
        (user.root / ROCKET / "2" / "notes.txt").write_bytes(b"a stranger's")

    def go_on(self, user: Owner, environ: dict[str, str] | None = None) -> Done:
        """A pass finishes what was begun. What was not even begun is asked for again."""
        done = user.run("sync", "--json", "--no-progress", "--config", user.config)
        with closing(sqlite3.connect(user.root / ".artifact-sync/ledger.sqlite")) as ledger:
            begun = ledger.execute("SELECT count(*) FROM forget_rules").fetchone() != (0,)
        return done if begun else super().go_on(user, environ)


class ForgetFiles(Forget):
    """Files of a run are let go; its manifests then name the others."""

    name = "forget-files"
    command = ("forget", ROCKET, "2", "dist", "--delete", "--yes", "--json")


class Prune(Scene):
    """Two of three runs are kept by no rule; somebody else's file is in the folder of one."""

    name = "prune"
    command = ("prune", "--json")

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        simulator.add_run(ROCKET, _run("3", "success", days=0.5))
        assert user.run("sync", "--config", user.config).code == 0
        (user.root / ROCKET / "2" / "notes.txt").write_bytes(b"a stranger's")

    def configure(self, user: Owner) -> None:
        user.set_up(keep__last=1, keep__max_share="100%")

    def go_on(self, user: Owner, environ: dict[str, str] | None = None) -> Done:
        """A pass finishes what was begun. What was not even begun is asked for again."""
        done = user.run("sync", "--json", "--no-progress", "--config", user.config, **environ or {})
        return super().go_on(user, environ) if done.code == 0 else done


class Dedupe(Scene):
    """A run comes whose files have the bytes of another one's, of which one is damaged."""

    name = "dedupe"

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        archive = b"the same in each run" * (STAGED // 20)
        for run in ("1", "2"):
            simulator.set_content(ROCKET, run, ARCHIVE, archive)
            simulator.set_content(ROCKET, run, PAGE, b"the same page")
            simulator.set_content(ROCKET, run, REPORT, b"the same report")
        self.configure(user)
        assert user.run("sync", ROCKET, "--run", "1", "--config", user.config).code == 0
        (user.root / place("1", REPORT)).write_bytes(b"The same report")

    def configure(self, user: Owner) -> None:
        user.set_up(mirror__dedupe="hardlink")

    def faults(self, user: Owner) -> list[str]:
        """What the ledger says of shared blocks is so."""
        with closing(sqlite3.connect(user.root / ".artifact-sync/ledger.sqlite")) as ledger:
            said = dict(ledger.execute("SELECT path, shares IS NOT NULL FROM artifacts"))
        shared = {
            path: (user.root / path).samefile(user.root / place("1", name))
            for name in (ARCHIVE, PAGE, REPORT)
            if said.get(path := place("2", name)) is not None
        }
        wrong = [path for path, it in shared.items() if it != said[path]]
        if not any(shared.values()):
            wrong.append("nothing at all")
        return [f"the ledger is wrong about what is shared: {path}" for path in wrong]


class PruneUnpacked(Prune):
    """Of the runs that go, archives were unpacked."""

    name = "prune-unpacked"

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        simulator.set_content(ROCKET, "2", PAGE, Extract.archive)
        text = f'[[repo]]\nname = "{ROCKET}"\nextract = ["{PAGE}"]'
        user.set_up(text=text)
        super().arrange(user, simulator)


class Adoption(Scene):
    """The ledger is lost with all that is the program's own, and with a manifest and a link."""

    name = "adopt"
    command = ("adopt",)

    def arrange(self, user: Owner, simulator: Simulator) -> None:
        del simulator
        assert user.run("sync", "--config", user.config).code == 0
        shutil.rmtree(user.root / ".artifact-sync")
        (user.root / ROCKET / "1" / "SHA256SUMS").unlink()
        (user.root / ROCKET / "latest").unlink()


class DaemonPass(NewRun):
    """The daemon's first pass, and what becomes of it when somebody asks for another one."""

    name = "daemon"
    refusals = frozenset({1, 6, 7})  # without a socket nobody can ask it

    def act(self, user: Owner, environ: dict[str, str]) -> Done:
        with user.daemon(ready=False, **environ) as daemon:
            wait_until(lambda: daemon.process.poll() is not None or _is_ready(daemon))
            done = Done(0, "", "")
            if daemon.process.poll() is None:
                done = user.run("sync", "--json", "--no-progress", "--config", user.config)
            daemon.end(signal.SIGTERM)
            if daemon.process.returncode != 0:
                return Done(daemon.process.returncode, "", daemon.log.read_text("utf-8"))
            return done


def _is_ready(daemon: Daemon) -> bool:
    """Whether it has said so; its last words, if it cannot begin, are no JSON."""
    return f'"{READY}' in daemon.log.read_text("utf-8")


_ALL = (
    *(Scene, NewRun, LeftAnew, MadeAnew, Repair, Logs, LateLogs, Signed, Told),
    *(Forget, ForgetFiles, Prune, Dedupe, Adoption, DaemonPass),
    *(Extract, PruneUnpacked),
)
SCENES = {it.name: it for it in _ALL}
