"""Databases: location, opening, execution of statements.

``store`` is the contract, ``sqlite`` and ``postgres`` keep it. What differs between databases
(placeholders, new rows' ids, types, transactions, errors) is known here and nowhere else.
"""
