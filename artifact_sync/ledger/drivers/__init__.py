"""Databases: where a ledger is, how it is opened, and how statements are carried out on it.

``store`` is the contract, ``sqlite`` and ``postgres`` keep it. What differs between databases
(placeholders, new rows' ids, types, transactions, errors) is known here and nowhere else.
"""
