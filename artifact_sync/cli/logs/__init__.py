"""The log: formats, handlers, journald, masking of secrets."""
