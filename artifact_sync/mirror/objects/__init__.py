"""A mirror in an object store: S3, GCS, Azure, or memory for trials.

The only package that imports ``obstore``. ``bucket``: its calls, with our errors; ``calls``: the
threads that carry them out; ``keys``: paths as keys; ``upload``: a file under its name, over
nothing that is unknown; ``object_mirror``: the verbs of ``domain.ports``. Not here: staging, which
is a folder of this machine.
"""
