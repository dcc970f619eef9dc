#!/usr/bin/env python3
"""Writes a line for nginx's `map` with the Repr-Digest of each file of a mirror.

python3 digests.py ROOT > /etc/nginx/artifact-digests.map

Reads the SHA256SUMS of each run, so that it is quick, and needs the default mirror.layout.
"""

import base64
import sys
from pathlib import Path

root = Path(sys.argv[1])
for sums in sorted(root.glob("*/*/*/SHA256SUMS")):
    folder = sums.parent
    if folder.is_symlink():  # latest
        continue
    for line in sums.read_text(encoding="utf-8").rstrip("\n").split("\n"):
        sha256, _, name = line.partition("  ")
        digest = base64.b64encode(bytes.fromhex(sha256)).decode("ascii")
        path = (folder / name).relative_to(root).as_posix()
        sys.stdout.write(f'"/{path}" "sha-256=:{digest}:";\n')
