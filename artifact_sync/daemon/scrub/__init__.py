"""Reads the mirror again within bounds, and has what is damaged mended."""
