"""One artifact from its link to a verified file in the mirror.

Attempts, resume, checkpoints, ranges, evidence and limits. Not here: which artifacts are wanted
(``sync``) and what is known of them (``ledger``). The pass and the composition root import it.
"""
