"""Work of many processes on one mirror, agreed on in PostgreSQL.

Each module keeps one port of ``domain.ports``. Not here: what is known of the mirror (``ledger``),
and what a process does with what it is given (``sync``, ``daemon``).
"""
