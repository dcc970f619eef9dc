"""What to measure, how large and how often: from the environment, where ``make`` puts it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

REPOSITORY = Path(__file__).parents[1]
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CASES = ("1", "2", "3", "4", "5", "6", "7", "8", "9")


@dataclass(frozen=True, slots=True)
class Files:
    """So many files of one size."""

    count: int
    size: int

    @property
    def bytes(self) -> int:
        """All of them together."""
        return self.count * self.size


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much work each case is. The defaults are issue 4's."""

    small: Files = Files(2_000, 64 * KIB)
    middle: Files = Files(200, 5 * MIB)
    big: Files = Files(1, 2 * GIB)
    slow: Files = Files(500, 64 * KIB)
    latency: float = 0.05
    known: int = 20_000
    huge: int = 1_000_000
    curve_known: tuple[int, ...] = (1_000, 10_000, 100_000)
    curve_new: tuple[int, ...] = (1_000, 10_000)
    verify: Files = Files(100, 100_000_000)
    shared: Files = Files(1_000, 64 * KIB)
    shared_middle: Files = Files(500, MIB)
    shared_passes: int = 200
    rows: int = 2_000_000

    def scaled(self, by: float) -> Sizes:
        """The same with fewer files, and a smaller big one."""
        return replace(
            self,
            small=_fewer(self.small, by),
            middle=_fewer(self.middle, by),
            big=Files(1, max(KIB, int(self.big.size * by))),
            slow=_fewer(self.slow, by),
            known=_less(self.known, by),
            huge=_less(self.huge, by),
            curve_known=tuple(_less(count, by) for count in self.curve_known),
            curve_new=tuple(_less(count, by) for count in self.curve_new),
            verify=_fewer(self.verify, by),
            shared=_fewer(self.shared, by),
            shared_middle=_fewer(self.shared_middle, by),
            shared_passes=_less(self.shared_passes, by),
            rows=max(1_000, int(self.rows * by)),
        )


SMOKE = Sizes(
    small=Files(40, 4 * KIB),
    middle=Files(4, 2 * MIB),
    big=Files(1, 8 * MIB),
    slow=Files(32, 4 * KIB),
    latency=0.02,
    known=60,
    huge=500,
    curve_known=(60, 500),
    curve_new=(10, 30),
    verify=Files(4, MIB),
    shared=Files(48, 4 * KIB),
    shared_middle=Files(0, MIB),
    shared_passes=20,
    rows=1_000,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """One call of the benchmark."""

    cases: tuple[str, ...]
    rounds: int
    sizes: Sizes
    scale: str
    """In words: ``full``, ``smoke``, or the factor."""
    folder: Path
    """Where the files of all contenders go: one file system."""
    out: Path
    """Where the results are written."""


def from_environment() -> Settings:
    """``CASES ROUNDS SCALE SMOKE BENCH_DIR BENCH_OUT``; each may be empty."""
    smoke = bool(_word("SMOKE", ""))
    scale = _word("SCALE", "1")
    folder = Path(_word("BENCH_DIR", str(REPOSITORY / "build"))).absolute()
    return Settings(
        cases=_cases(_word("CASES", ",".join(CASES))),
        rounds=int(_word("ROUNDS", "1" if smoke else "5")),
        sizes=SMOKE if smoke else Sizes().scaled(float(scale)),
        scale="smoke" if smoke else ("full" if scale == "1" else scale),
        folder=folder,
        out=_out(trial=smoke or scale != "1"),
    )


def _word(name: str, default: str) -> str:
    return os.environ.get(name, "") or default


def _cases(text: str) -> tuple[str, ...]:
    chosen = tuple(text.replace(" ", ",").strip(",").split(","))
    unknown = sorted(set(chosen) - set(CASES))
    if unknown:
        raise SystemExit(f"there is no case {', '.join(unknown)}: CASES takes some of 1 to 9")
    return chosen


def _out(*, trial: bool) -> Path:
    """A trial never replaces the results that are kept."""
    given = _word("BENCH_OUT", "")
    if given:
        return Path(given).absolute()
    return Path(mkdtemp(prefix="artifact-sync-bench-")) if trial else REPOSITORY / "benchmarks"


def _less(count: int, by: float) -> int:
    return max(20, int(count * by))


def _fewer(files: Files, by: float) -> Files:
    return Files(max(4, int(files.count * by)), files.size)
