"""The network: the only package that imports an HTTP library.

- ``api``: SourceCraft's REST API, as ``ports.Source``.
- ``links``: temporary links to files, as ``ports.Fetcher``.
- ``transport``: clients, TLS, redirects, and words for network errors.

Not here: what is downloaded, or when. ``app`` alone imports it.
"""
