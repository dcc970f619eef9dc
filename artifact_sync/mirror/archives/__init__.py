"""Strict readers of archives, and the rules for what is in them.

They read a file and hand on what it holds; where that is written is the business of ``local``. Not
here: when an archive is unpacked (``sync.extract``).
"""
