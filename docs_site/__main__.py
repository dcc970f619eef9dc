"""Build the site, check it, print each fault in a line."""

from __future__ import annotations

import sys
from pathlib import Path

from docs_site.build import SITE, build
from docs_site.checks import faults


def main() -> int:
    """The exit code: 1 when the generator or a check finds a fault."""
    project = Path(__file__).parents[1]
    built = build(project)
    if not built.good:
        print(built.output, file=sys.stderr)
        return 1
    found = faults(project)
    for fault in found:
        print(fault, file=sys.stderr)
    where = f"built in {SITE}; to read it: python3 -m http.server -d {SITE} -b 127.0.0.1"
    print(f"faults: {len(found)}" if found else where)
    return 1 if found else 0


sys.exit(main())
