"""Watches the mirror for damage: finds changed files, reports and restores them."""
