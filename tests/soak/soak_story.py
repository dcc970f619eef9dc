"""A random story, told again by its seed: what happens to the service, the files and the daemon."""

from __future__ import annotations

import hashlib
import shutil
import signal
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from soak_daemon import COMPLETE, INTERRUPTED, Program, Settings, changed, least, wait_for
from soak_witness import MANIFESTS

from artifact_sync.simulator import faults

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from random import Random

    from soak_witness import Witness
    from soak_world import World

FAULTS: tuple[faults.AnyFault, ...] = (
    faults.StatusFault(status=503, retry_after=1, every=2),
    faults.StatusFault(status=500),
    faults.StatusFault(status=429, retry_after=1, retry_after_as="date", first=5),
    faults.StatusFault(status=404, every=3),
    faults.StatusFault(on="api", status=503, retry_after=1, every=2),
    faults.StatusFault(on="api", status=500),
    faults.StatusFault(on="api", status=500, endpoint="run", every=2),
    faults.StatusFault(on="api", status=401),
    faults.StatusFault(on="api", status=403, repo="acme/website"),
    faults.StatusFault(on="api", status=404, endpoint="repos"),
    faults.CutFault(after=0.5, every=2),
    faults.CutFault(after=0.9),
    faults.CutFault(on="api", after=0.5, every=2),
    faults.Stall(after=0.3, every=3),
    faults.Stall(on="api", after=0.2, every=4),
    faults.Slow(rate=200_000),
    faults.Delay(seconds=0.3),
    faults.Delay(on="api", seconds=0.5),
    faults.Lapse(every=2),
    faults.Truncate(on="api", endpoint="runs", every=2),
    faults.Truncate(on="api", endpoint="repos", after=0.0),
    faults.Truncate(on="api", endpoint="run", after=0.9, every=2),
    faults.IgnoreRange(),
    faults.WrongRange(),
    faults.ErrorPageFault(every=3),
    faults.Flip(every=3),
)
CODES = {
    "status": {0},
    "verify": {0, 1, 5},
    "sync": {0, 1, 3, 4, 5, 7, 130},
}
"""How a command beside the daemon may end; 2 when the configuration was not valid meanwhile."""
INVALID = ("[mirror\nroot = 3", '[download]\njobs = "many"\n', 'colour = "blue"\n', "\0\0\0")
LIMITS = ("off", "off", "6MiB", "24MiB", "00:00 12MiB, 12:00 8MiB")


@dataclass
class Story:
    """Goes on step by step. ``events`` are its latest."""

    program: Program
    world: World
    witness: Witness
    rng: Random
    killing: bool = True
    """Whether the daemon may be stopped and killed; from then on one process goes on."""
    events: deque[str] = field(default_factory=lambda: deque(maxlen=60))
    counts: Counter[str] = field(default_factory=Counter)
    _began: float = field(default_factory=time.monotonic)
    _later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _beside: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)
    _invalid_at: float = 0.0
    _fault: int = 0
    _hooks: int = 0
    _changing_token: bool = False

    def step(self) -> None:
        """Let something happen, and see that all is as it should be."""
        acts = self._acts()
        act = self.rng.choices(list(acts), list(acts.values()))[0]
        self.tell(act.__name__.strip("_"), act())
        self.pass_time(self.rng.uniform(0.02, 0.25))

    def _acts(self) -> dict[Callable[[], str], float]:
        acts: dict[Callable[[], str], float] = {
            self._run: 30,
            self._finish: 34,
            self._arrival: 6,
            self._break: 14,
            self._replacement: 4,
            self._repository: 4,
            self._webhook: 10,
            self._wrong_webhook: 3,
            self._flood: 1.5,
            self._edit: 5,
            self._wrong_edit: 2,
            self._web_off_and_on: 1,
            self._new_token: 3,
            self._new_secret: 1,
            self._sighup: 2,
            self._pause: 1,
            self._damage: 9,
            self._command: 3,
        }
        if self.killing:
            acts |= {self._kill: 12, self._terminate: 7, self._hurry: 5}
        return acts

    def tell(self, what: str, how: str = "") -> None:
        self.counts[what] += 1
        self.events.append(f"{time.monotonic() - self._began:7.2f} {what}: {how}")

    def pass_time(self, seconds: float) -> None:
        """What was put off happens meanwhile; the daemon lives."""
        end = time.monotonic() + seconds
        while True:
            self._do_later()
            self._hear_commands()
            assert self.program.alive(), f"the daemon has ended: {self.program.process}"
            if (left := end - time.monotonic()) <= 0:
                break
            time.sleep(min(left, 0.1))

    def _put_off(self, seconds: float, work: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, work))

    def _do_later(self, *, all_: bool = False) -> None:
        now = time.monotonic()
        due = [work for at, work in self._later if all_ or at <= now]
        self._later = [it for it in self._later if it[1] not in due]
        for work in due:
            work()

    # the service

    def _run(self) -> str:
        return "/".join(self.world.new_run())

    def _finish(self) -> str:
        if not self.world.unfinished:
            return self._run()
        repo, slug = self.world.finish(self.rng.randrange(len(self.world.unfinished)))
        if self.rng.random() < 0.4:
            self._call(repo, slug)
        return f"{repo}/{slug}"

    def _arrival(self) -> str:
        if not self.world.late:
            return "nothing is late"
        repo, slug, path = self.world.arrive(self.rng.randrange(len(self.world.late)))
        if self.rng.random() < 0.5:
            self._call(repo, slug)
        return f"{repo}/{slug} {path}"

    def _replacement(self) -> str:
        return str(self.world.replace())

    def _repository(self) -> str:
        if self.world.away and self.rng.random() < 0.6:
            return f"{self.world.come_back()} is back"
        if len(self.world.away) < 2 and self.rng.random() < 0.7:
            return f"{self.world.vanish()} is gone"
        return f"{self.world.appear()} is new"

    def _break(self) -> str:
        if len(self.world.faults) >= 3:
            return "enough"
        number, fault = self._fault, self.rng.choice(FAULTS)
        self._fault += 1
        self.world.break_(number, fault)
        seconds = self.rng.uniform(0.5, 5)
        self._put_off(seconds, lambda: self.world.mend(number))
        self.counts[f"fault {fault.on} {type(fault).__name__}"] += 1
        return f"{fault} for {seconds:.1f} s"

    # webhooks

    def _call(self, repo: str, slug: str) -> None:
        if self.program.settings.web:
            self._hooks += 1
            self.program.hook(repo, slug, self._hooks)

    def _webhook(self) -> str:
        repo = self.rng.choice(self.world.repos)
        slug = str(self.rng.randint(1, 30))
        self._hooks += 1
        code = self.program.hook(repo, slug, self._hooks)
        assert code in {202, 404}, code
        if code == 202:  # a new repository of an organisation is known by its star
            assert self.program.hook(repo, slug, self._hooks) == 202
        return f"{repo}/{slug}: {code}"

    def _wrong_webhook(self) -> str:
        ask, secret = self.program.ask, self.program.secrets[0]
        repo = self.world.repos[0]
        codes = [
            self.program.hook(repo, "1", "x", b"whsec-somebody-elses"),
            ask("POST", "/hooks/sourcecraft", b"{}")[0],
            self.program.post(b"{", secret),
            self.program.hook("nobody/knows", "1", "x"),
            self.program.post(b"x" * 2_000_000, secret),
        ]
        assert codes == [401, 401, 400, 404, 413], codes
        return str(codes)

    def _flood(self) -> str:
        repo = self.rng.choice(self.world.repos)
        first = self._hooks
        self._hooks += 300
        with ThreadPoolExecutor(8) as many:
            codes = Counter(
                many.map(lambda n: self.program.hook(repo, "7", n), range(first, self._hooks))
            )
        assert set(codes) <= {202, 404}, codes
        return f"{repo}: {dict(codes)}"

    def _new_secret(self) -> str:
        fresh = f"whsec-soak-{self.rng.random()}".encode()
        self.program.secrets = [fresh, *self.program.secrets]
        self.program.write_secrets()
        time.sleep(0.15)  # readings count for a moment
        repo = self.world.repos[0]
        codes = [self.program.hook(repo, "1", f"s{n}", it)
                 for n, it in enumerate(self.program.secrets)]  # fmt: skip
        assert set(codes) == {202}, codes
        return f"{len(codes)} count"

    # configuration

    def _edit(self) -> str:
        settings = changed(
            self.program.settings,
            jobs=self.rng.choice((1, 3, 6, 8)),
            limit=self.rng.choice(LIMITS),
            interval=self.rng.choice(("1s", "2s")),
            body_limit=self.rng.choice(("64KiB", "128KiB")),
            own_entry=self.rng.random() < 0.3,
        )
        if self.rng.random() < 0.5:
            self.program.configure(settings)
        else:
            self._write_slowly(settings)
        return str(settings)

    def _write_slowly(self, settings: Settings) -> None:
        """As an editor does that writes into the file itself."""
        self.program.settings = settings
        text = self.program.text(settings)
        with self.program.config.open("w") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            time.sleep(0.05)
            file.write(text[len(text) // 2 :])

    def _wrong_edit(self) -> str:
        text = self.rng.choice(INVALID)
        self._invalid_at = time.monotonic()
        self.program.config.write_text(text)
        self._put_off(self.rng.uniform(0.5, 3), self._valid_again)
        return repr(text)

    def _valid_again(self) -> None:
        self._invalid_at = time.monotonic()
        self.program.configure(self.program.settings)

    def _web_off_and_on(self) -> str:
        settings = self.program.settings
        self.program.configure(changed(settings, web=False))
        off = wait_for("the web is off", lambda: not self.program.answers(), 10)
        self.program.configure(settings)
        on = wait_for("the web is on again", self.program.answers, 10)
        return f"after {off:.1f} and {on:.1f} s"

    def _new_token(self) -> str:
        if self._changing_token:
            return "not yet"
        self._changing_token = True
        old, new = self.program.tokens[-1], f"pv1_soak-{self.rng.random()}"
        self.program.tokens.append(new)
        if self.rng.random() < 0.5:
            self.world.let_in(old, new)
            self.program.write_token(new)
            self._put_off(3, lambda: self._token_is(new))
            return "in good time"
        self.world.let_in(new)

        def write() -> None:
            self.program.write_token(new)
            self._token_is(new)

        self._put_off(self.rng.uniform(0.2, 2), write)
        return "after it was revoked"

    def _token_is(self, token: str) -> None:
        self.world.let_in(token)
        self._changing_token = False

    # the process

    def _sighup(self) -> str:
        self.program.send(signal.SIGHUP)
        return ""

    def _pause(self) -> str:
        self.program.send(signal.SIGSTOP)
        self.world.new_run()
        time.sleep(1)
        self.program.send(signal.SIGCONT)
        return ""

    def _catch_in_the_act(self) -> bool:
        """Wait, for a moment, until something is on its way."""
        slow = faults.Slow(rate=self.rng.choice((300_000, 2_000_000)))
        number, self._fault = self._fault, self._fault + 1
        self.world.break_(number, slow)
        self._put_off(1.5, lambda: self.world.mend(number))
        for _ in range(3):
            repo, slug = self.world.new_run()
            at = self.world.unfinished.index((repo, slug))
            self._call(*self.world.finish(at))
        end = time.monotonic() + self.rng.uniform(0.2, 2)
        staging = self.program.own / "staging"
        while time.monotonic() < end:
            if staging.is_dir() and any(it.suffix == ".part" for it in staging.iterdir()):
                time.sleep(self.rng.uniform(0, 0.3))
                return True
            time.sleep(0.01)
        return False

    def _kill(self) -> str:
        caught = self._catch_in_the_act()
        self.witness.daemon_ends()
        self.program.send(signal.SIGKILL)
        self.program.ended("killed")
        self.witness.look()
        return f"{'in' if caught else 'not in'} the act; {self._start()}"

    def _terminate(self) -> str:
        self._catch_in_the_act()
        self.witness.daemon_ends()
        self.program.send(signal.SIGTERM)
        code = self.program.ended("SIGTERM")
        assert code == COMPLETE, f"SIGTERM ended in {code}"
        return self._start()

    def _hurry(self) -> str:
        self._catch_in_the_act()
        self.witness.daemon_ends()
        self.program.send(signal.SIGTERM)
        time.sleep(self.rng.uniform(0, 0.3))
        self.program.send(signal.SIGINT)
        code = self.program.ended("SIGTERM, SIGINT", 10)
        # the second one may come when all is closed already, and then ends the bare interpreter
        assert code in {COMPLETE, INTERRUPTED, -signal.SIGINT}, f"two signals ended in {code}"
        return f"{code}; {self._start()}"

    def _start(self) -> str:
        log_format = self.rng.choice(("text", "json"))
        self._later = [it for it in self._later if it[1] != self._valid_again]
        self.program.configure(changed(self.program.settings, log_format=log_format))
        tries = self.program.start(*(["-v"] if self.rng.random() < 0.3 else []))
        return f"started at try {tries} as {self.program.pid}"

    # the mirror

    def _damage(self) -> str:
        files = [it for it in self.witness.files() if (self.program.root / it).is_file()]
        if not files:
            return "nothing there"
        path = self.rng.choice(files)
        how = self.rng.choice((self._delete, self._delete, self._truncate, self._overwrite,
                               self._delete_manifest, self._delete_run))  # fmt: skip
        self.witness.damaged.add("/".join(path.split("/")[:3]))
        try:
            how(path)
        except FileNotFoundError:
            return f"{path}: too late"
        return f"{how.__name__.strip('_')} {path}"

    def _delete(self, path: str) -> None:
        (self.program.root / path).unlink()

    def _truncate(self, path: str) -> None:
        self._write(path, (self.program.root / path).read_bytes()[:-1] + b"**")

    def _overwrite(self, path: str) -> None:
        self._write(path, b"#" * (self.program.root / path).stat().st_size)

    def _write(self, path: str, data: bytes) -> None:
        self.witness.hand[path].add(hashlib.sha256(data).hexdigest())
        self.witness.hand_at[path] = time.monotonic()
        if not self.program.watches():  # which begins some moments after the web answers
            self.witness.unseen.add(path)
        file = self.program.root / path
        fresh = self.program.folder / "by-hand"
        fresh.write_bytes(data)
        fresh.replace(file)

    def _delete_manifest(self, path: str) -> None:
        run = self.program.root.joinpath(*path.split("/")[:3])
        (run / self.rng.choice(sorted(MANIFESTS))).unlink(missing_ok=True)

    def _delete_run(self, path: str) -> None:
        shutil.rmtree(self.program.root.joinpath(*path.split("/")[:3]), ignore_errors=True)

    # beside

    def _command(self) -> str:
        if len(self._beside) >= 2:
            return "enough"
        sync = ("sync", "--json", *self.rng.sample(self.world.repos, 2))
        command = self.rng.choice((("status", "--json"), ("verify", "--json"), sync, sync))
        self._beside.append((" ".join(command), self.program.beside(*command)))
        return " ".join(command)

    def _hear_commands(self) -> None:
        for it in list(self._beside):
            if it[1].poll() is not None:
                self._beside.remove(it)
                self._heard(*it)

    def _heard(self, command: str, process: subprocess.Popen[bytes]) -> None:
        out, err = (said.decode() for said in process.communicate())
        kind = command.split(maxsplit=1)[0]
        self.tell(f"{kind} ended", f"{process.returncode}: {out[:120]!r} {err[-200:]!r}")
        self.witness.check_words(out + err, command)
        valid = time.monotonic() - self._invalid_at > 10
        allowed = CODES[kind] | (set() if valid else {2})
        assert process.returncode in allowed, (command, process.returncode, out, err)

    # rest

    def calm_down(self, seconds: float = 90) -> float:
        """Nothing goes wrong any more; wait until the daemon rests."""
        self._do_later(all_=True)
        self.world.mend_all()
        for _, process in self._beside:
            process.wait(60)
        self._hear_commands()
        return wait_for("the daemon rests", self.program.at_rest, seconds)

    def take_stock(self) -> dict[str, int]:
        """Descriptors and threads of the daemon at rest: the least over a while."""
        took = self.calm_down()
        takes = []
        for _ in range(30):
            takes.append(self.program.descriptors())
            time.sleep(0.1)
        self.program.sample()
        threads = self.program.life.samples[-1].threads
        found = least(takes) | {"threads": threads}
        self.program.life.quiet.append(found)
        self.tell("rest", f"after {took:.1f} s: {found}")
        return found

    def finish_everything(self) -> None:
        """All runs end but one, all artifacts come but one; who is back can mend what is damaged.

        One repository may stay away for ever, if nothing of it is missed.
        """
        damaged = {"/".join(run.split("/")[:2]) for run in self.witness.damaged}
        self.world.away.sort(key=lambda state: str(state.name) in damaged)
        while len(self.world.away) > 1 or {str(it.name) for it in self.world.away} & damaged:
            self.world.come_back()
        gone = {str(state.name) for state in self.world.away}
        for listed, act in ((self.world.unfinished, self.world.finish),
                            (self.world.late, self.world.arrive)):  # fmt: skip
            for at in reversed(range(1, len(listed))):
                if listed[at][0] not in gone:
                    act(at)
