"""Decides when a pass over which repository is due. Pure."""
