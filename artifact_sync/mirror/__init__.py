"""The mirror: where an artifact's file goes, and the local file system that it goes to.

``layout``, ``names`` and ``manifest`` are pure; ``disk`` is the ``Mirror`` adapter, over ``tree``,
``folders`` and ``attic``; ``lock`` keeps a second process out. Read ``layout`` first.
"""
