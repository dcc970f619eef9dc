"""Log formats and handlers, and masking of secrets in log text."""
