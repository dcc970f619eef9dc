"""How the process runs: threads, batching, the event loop, the clock, logs, backoff and units.

Not here: anything about artifacts. It imports nothing of the project; every package may import it.
"""
