"""Writes docs/reference/ and docs/man/ from the program: ``make reference``.

``pages`` gathers every file. ``program`` reads commands and options from click, ``key_table`` the
keys of the configuration, ``schemas`` the JSON objects. The other modules make a page each. A test
makes all of it anew and compares, so that what is committed cannot be out of date.
"""
