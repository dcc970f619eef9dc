"""Watches the mirror, reports damaged files and restores them."""
