"""What durability costs by itself: write, fsync and rename files from memory, 16 at once.

argv: how many files of how many bytes. Writes into the working directory.
"""

import os
import sys
import threading

THREADS = 16


def main() -> None:
    """Write the files, each thread every sixteenth."""
    count, size = int(sys.argv[1]), int(sys.argv[2])
    content = os.urandom(size)
    threads = [
        threading.Thread(target=write, args=(range(first, count, THREADS), content))
        for first in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def write(numbers: range, content: bytes) -> None:
    """Write these files, one after the other."""
    for number in numbers:
        name = f"{number:06}.bin"
        file = os.open(f".{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(file, content)
        os.fsync(file)
        os.close(file)
        os.rename(f".{name}", name)  # noqa: PTH104 - a plain loop


if __name__ == "__main__":
    main()
