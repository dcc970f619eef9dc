"""Where files go: layout, names and manifests, and each kind of mirror.

``layout``, ``names`` and ``manifest`` are pure and shared by every kind. ``local`` is the mirror on
a file system; one on an object store will be beside it. Not here: what is mirrored (``ledger``), or
how bytes come (``transfer``). Only ``app`` imports ``local``.
"""
