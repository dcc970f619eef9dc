"""The examples in Python of README.md and docs/: they run as they stand, and type-check strictly.

A fenced block ``python`` behind a line ``<!-- tested -->`` is executed, and every one is checked.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from user import User

REPOSITORY = Path(__file__).parents[2]
_BLOCK = re.compile(r"^<!-- tested -->\n+```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    pytest.param(block, id=f"{file}-{number}")
    for file in ("README.md", "docs/python.md")
    for number, block in enumerate(_BLOCK.findall((REPOSITORY / file).read_text("utf-8")))
]


def run(folder: Path, user: User, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=user.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    user.check_words(done.stdout)
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_twice(user: User, example: str) -> None:
    (user.folder / "example.py").write_text(example, encoding="utf-8")
    for _ in range(2):
        run(user.folder, user, "-W", "error", "example.py")
    assert user.files()


@pytest.mark.slow
def test_the_examples_type_check_strictly(user: User) -> None:
    for number, example in enumerate(EXAMPLES):
        (user.folder / f"example_{number}.py").write_text(str(example.values[0]), encoding="utf-8")
    run(user.folder, user, "-m", "mypy", "--strict", "--no-incremental", ".")
