"""How the process runs: threads, event loop, clock, logs, backoff, units.

Not here: anything about artifacts. It imports nothing of the project; every package may import it.
"""
