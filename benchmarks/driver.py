"""Runs the phases of one contender and tells what each cost. Started as ``python -I -S driver.py``.

A process of its own, and a small one: what ``wait4`` tells of a child's memory is never less than
that of the process which started it. It imports nothing that is not built in, but ``json``.

argv: the phases as JSON (a list of ``argv``, ``stdout``), and the file for the answer.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run the phases one after the other; the first that fails is the last."""
    phases, answer = json.loads(sys.argv[1]), sys.argv[2]
    told = []
    for phase in phases:
        told.append(measured(phase["argv"], phase["stdout"]))
        if told[-1]["code"] != 0:
            break
    with open(answer, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs memory
        json.dump(told, file)


def measured(argv: list[str], stdout: str) -> dict[str, float]:
    """Run a program to its end: seconds, CPU seconds and bytes of it and all that it waited for."""
    into = (os.POSIX_SPAWN_OPEN, 1, stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    begun = time.perf_counter()
    child = os.posix_spawnp(argv[0], argv, os.environ, file_actions=[into])
    _, status, used = os.wait4(child, 0)
    return {
        "wall": time.perf_counter() - begun,
        "cpu": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss * 1024,
        "code": os.waitstatus_to_exitcode(status),
    }


if __name__ == "__main__":
    main()
