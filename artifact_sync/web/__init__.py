"""The daemon over HTTP. An optional extra, off by default.

Webhook, health, metrics and status. Not here: when a pass begins (``daemon``). ``app`` imports
``serve``, ``context``, ``metrics`` and ``webhook_secrets``, which need no optional library.
"""
