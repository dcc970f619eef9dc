"""The composition root: ``Config`` → the concrete parts. The only importer of adapters.

``places``: where they are. ``glance``: the pass with nothing new, on a way of its own, with
``direct``. ``store``: mirror and ledger. ``network``: the service and the files' hosts.
``passes``: one pass.
``engine`` and ``service``: what a daemon needs for a long life.
"""
