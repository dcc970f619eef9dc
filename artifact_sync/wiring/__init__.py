"""The composition root: ``Config`` → the concrete parts. The only importer of adapters.

``store``: mirror and ledger. ``network``: the service and the files' hosts. ``passes``: one pass.
``engine`` and ``service``: what a daemon needs for a long life.
"""
