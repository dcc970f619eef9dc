"""Temporary links as ``ports.Fetcher``."""
