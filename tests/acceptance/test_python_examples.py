"""The examples in Python of README.md and docs: they run as they stand, and type-check strictly."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pages import REPOSITORY, pages

if TYPE_CHECKING:
    from pathlib import Path

    from user import User

EXAMPLES = [
    pytest.param(block.text, id=f"{page.name}-{number}")
    for page in pages()
    for number, block in enumerate(page.tested("python"))
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
    examples = [user.folder / f"example_{number}.py" for number in range(len(EXAMPLES))]
    for path, example in zip(examples, EXAMPLES, strict=True):
        path.write_text(str(example.values[0]), encoding="utf-8")
    # as `make types` does it, where that has left what it knows of the package
    run(REPOSITORY, user, "-m", "mypy", "--strict", *map(str, examples))
