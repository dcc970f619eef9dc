"""The network: SourceCraft's API and the links that it gives. The only package that knows HTTP.

``sourcecraft`` is the ``Source``, ``fetcher`` the ``Fetcher``; ``transport`` makes their clients.
"""
