"""The page of files on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.app.locations import LEDGER
from artifact_sync.domain.settings import CONTROL_SOCKET, DEFAULT_LAYOUT, OWN_FOLDER
from artifact_sync.mirror.layout import LATEST, LATEST_SUCCESS
from artifact_sync.mirror.local.own_folder import LOCK
from artifact_sync.mirror.local.reserve import RESERVE
from artifact_sync.mirror.local.tree import STAGING
from artifact_sync.mirror.manifest import RUN, SUMS
from artifact_sync.mirror.paths import DISPLACED, ID
from reference.markdown import block, code, table
from reference.markdown import page as whole

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN: Mapping[str, str] = {
    LEDGER: (
        "The bookkeeping, in SQLite, unless `ledger.url` names another one. Beside it, while it is"
        f" open: `{LEDGER}-wal` and `{LEDGER}-shm`. Back it up together with the mirror."
    ),
    f"{STAGING}/": (
        "Downloads that are not done: the bytes of each (`.part`) and how far they are checked"
        " (`.json`). The next pass goes on from there. May be removed while nothing runs."
    ),
    f"{DISPLACED}/": (
        "What was in the way, or was replaced: `TIME/PATH`, with the time in UTC and the path that"
        " it had. Emptied by `displaced empty`, and by passes where `keep.displaced` says so."
    ),
    RESERVE: "Room for the ledger on a full disk: spent by `prune`, `forget --delete`, the daemon.",
    LOCK: "Who is at work: held while a process changes the mirror. Never removed.",
    ID: "Which mirror this is. The ledger has the same, so that the two are not mixed up.",
    CONTROL_SOCKET: (
        "Where `sync`, `status` and `verify --repair` ask a running daemon; for its user alone."
    ),
}
"""What lies in the program's own folder."""

BESIDE: Mapping[str, str] = {
    SUMS: f"Digests of the run's files, for `sha256sum -c {SUMS}` in the run's folder.",
    RUN: (
        "What the service told of the run, what vouched for each file, and why others are not here:"
        " see [JSON](json.md#runjson)."
    ),
    LATEST: "A symbolic link to the newest complete run.",
    LATEST_SUCCESS: "A symbolic link to the newest complete run with the status `success`.",
}
"""What stands among the mirrored files."""

_TREE = f"""\
mirror/
  acme/rocket/
    40/                              a run
      ci/build/build/dist/app.tar.gz workflow/task/cube/local_path
      {SUMS}
      {RUN}
    {LATEST} -> 40
    {LATEST_SUCCESS} -> 40
  {OWN_FOLDER}/                    the program's own
    {LEDGER}
    {STAGING}/
    {DISPLACED}/20261123T214607Z/…
    {LOCK}
    {ID}
    {CONTROL_SOCKET}"""

_FILES = f"""\
A file's place below the root is `mirror.layout`, by default `{DEFAULT_LAYOUT}`.
[Files and their names](../concepts/names.md) tells what becomes of odd names. Files have the mode
0644 and folders 0755, less the umask."""

_MANIFESTS = f"""\
`{SUMS}` and `{RUN}` are written when everything selected of the run is present. From then on they
are only replaced: while a file is missing, `{RUN}` lists it under `missing`."""

_OWN = f"""\
`{OWN_FOLDER}/` has the mode 0700, and whoever serves the mirror should leave it out. It lies on the
mirror's own file system, so that a file comes into the mirror by one rename."""

_ELSEWHERE = """\
The configuration is `config.toml` in the user's folder (Linux: `~/.config/artifact-sync/`) or the
site's (`/etc/xdg/artifact-sync/`), unless `--config` or `$ARTIFACT_SYNC_CONFIG` names another
one. The token and the webhook's secrets lie where it says. Nothing else is written anywhere."""


def page() -> str:
    """Make the page."""
    return whole(
        "Files on disk",
        block(_TREE, "text"),
        "## Mirrored files",
        _FILES,
        table(["beside them", "what it is"], [(code(it), BESIDE[it]) for it in BESIDE]),
        _MANIFESTS,
        "## The program's own folder",
        _OWN,
        table(["name", "what it is"], [(code(it), OWN[it]) for it in OWN]),
        "## Elsewhere",
        _ELSEWHERE,
    )
