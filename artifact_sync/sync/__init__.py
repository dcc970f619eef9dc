"""One pass: discover, collect, plan, download, record, write manifests; verify.

Front: ``Pass``, ``PassRequest``, ``Auditor`` and ``Drain``. Not here: how bytes arrive
(``transfer``) or when a pass begins (``daemon``). The daemon and ``app`` import it.
"""
