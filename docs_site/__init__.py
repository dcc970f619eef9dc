"""The documentation site: built offline by Zensical, and checked.

``build``: one run of the generator. ``pages``: Markdown and navigation. ``html``: one built page.
``checks``: what must hold for all of them. Not here: what is generated into ``docs/reference``.
``python -m docs_site`` (``make docs``) builds into ``build/site`` and lists every fault.
"""
