"""Numbers that the verbs and their statements agree on."""

from __future__ import annotations

READ_RUNS = 200
"""Rows that are read at a time."""
READ_ARTIFACTS = 500
NO_NUMBER = -1
"""``runs.number`` where the slug is no number: below all others, so that it sorts last."""

LAST = 2**63 - 1
"""No number and no id is above this."""

PASSES_KEPT = 1000
"""Passes remembered of each repository; a daemon makes one every minute or so."""
