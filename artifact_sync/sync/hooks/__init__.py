"""Hooks: delivers what waits in the ledger's outbox, at least once.

``message``: what a hook is given, pure. ``dispatcher``: when it is tried, and how often.
``programs``, ``addresses``: hooks of each kind. ``removed``: what waits for hooks that are gone.
Not here: what is posted, and when (``ledger``); HTTP (``source``).
"""
