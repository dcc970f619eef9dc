"""One artifact from its link to a verified file in the mirror.

Attempts, resume, checkpoints, ranges, evidence and limits. Its front for ``sync``: ``fetch`` and
``forget_staged`` of ``download``, ``WantedArtifact`` and ``TransferContext`` of ``context``.
``app`` makes the context. Not here: which artifacts are wanted (``sync``) and what is known of
them (``ledger``).
"""
