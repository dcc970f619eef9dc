"""The daemon over HTTP: webhook, health, metrics and status. An optional extra, off by default.

Not here: when a pass begins (``daemon``). ``app`` imports ``serve``, ``context`` and ``metrics``.
"""
