"""Reloads the configuration and the token when their files change."""
