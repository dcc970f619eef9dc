"""The mirror on a local file system: ``local_mirror`` is its front, with every ability.

``folder`` opens folders without following links, ``tree`` walks them, ``publisher`` puts files into
place, ``displaced`` keeps what was in the way. ``lock`` is exclusion.
"""
