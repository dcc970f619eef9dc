"""``python -m reference``: write every generated file, and remove what is generated no more."""

from __future__ import annotations

from pathlib import Path

from reference.pages import FOLDERS, generated, written_by_hand

REPOSITORY = Path(__file__).parents[1]


def main() -> None:
    """Write docs/reference/ and docs/man/."""
    files = generated()
    for name, text in files.items():
        path = REPOSITORY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for folder in FOLDERS:
        for path in (REPOSITORY / folder).rglob("*"):
            name = path.relative_to(REPOSITORY).as_posix()
            if path.is_file() and name not in files and not written_by_hand(name):
                path.unlink()
    print(f"{len(files)} files in {' and '.join(FOLDERS)}")


if __name__ == "__main__":
    main()
