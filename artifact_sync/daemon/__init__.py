"""The background service: runs passes when they are due, until it is stopped.

``scheduler`` starts due passes, ``schedule`` decides when (pure), ``control`` is the Unix socket,
``watch`` watches the mirror, ``reload`` re-reads the configuration. Not here: a pass itself
(``sync``), HTTP (``web``), assembling the parts (``app``).
"""
