"""The project's vocabulary: values, pure functions, and the ports that adapters implement.

Runs, artifacts, links, plans, reports, requests, events, errors and settings. Not here: I/O,
asyncio, HTTP, SQL or threads. Every package above may import it.
"""
