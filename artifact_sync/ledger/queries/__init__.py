"""The ledger's verbs, synchronous, within a transaction. Their contract is on ``ports.Ledger``.

They know statements by name and no database.
"""
