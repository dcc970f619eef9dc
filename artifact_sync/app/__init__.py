"""Composition root: builds a pass, a repair or a daemon from a ``Config``.

``assemble_pass``, ``assemble_daemon``: from parts to a whole. ``assemble_transfers``: for transfers
only, imported late. ``storage``: mirror and ledger. ``network``: the service.
``selection``: what a caller asks for over the configuration. ``examination``: verify and repair.
``python_api``: the interface for Python.

Not here: what a pass does (``sync``), printing and exit codes (``cli``).
"""
