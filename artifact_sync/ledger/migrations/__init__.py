"""The ledger's migrations, for Alembic: ``env`` and, in ``versions``, a file each."""
