"""The page of environment variables, held against what the program's source reads."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import artifact_sync
from artifact_sync.config.api_token import CREDENTIAL
from artifact_sync.config.ledger_password import LEDGER_CREDENTIAL
from artifact_sync.daemon.systemd import VARIABLES
from artifact_sync.mirror.objects.credentials import SYSTEMD_NAME
from reference.key_table import keys
from reference.markdown import code, table
from reference.markdown import page as whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE = Path(artifact_sync.__file__).parent

READ: Mapping[str, str] = {
    "ARTIFACT_SYNC_CONFIG": "The configuration file, where `--config` names none.",
    "SOURCECRAFT_TOKEN": "The token, where `source.token_file` is not set.",
    "CREDENTIALS_DIRECTORY": (
        f"Set by systemd: the folder of the credentials `{CREDENTIAL}`, `webhook-secret`,"
        f" `{LEDGER_CREDENTIAL}` and `{SYSTEMD_NAME}`."
    ),
    "STATE_DIRECTORY": "Set by systemd: where the lock and downloads of an object mirror lie.",
    "AWS_ACCESS_KEY_ID": "The key of the object store, for S3.",
    "AWS_SECRET_ACCESS_KEY": "Its secret.",
    "AWS_SESSION_TOKEN": "What belongs to a key that expires.",
    "AWS_REGION": "The region of the bucket.",
    "AWS_DEFAULT_REGION": "The same, where that is not set; else `us-east-1`.",
    "AWS_SHARED_CREDENTIALS_FILE": "A file with such keys, where those are not set.",
    "AWS_PROFILE": "The part of such a file that counts; else `default`.",
    "AWS_ENDPOINT_URL_S3": "The address of the object store, before `AWS_ENDPOINT_URL`.",
    "AWS_ENDPOINT_URL": "The address of the object store, where `mirror.endpoint` is not set.",
    "HOME": "The folder that `~` stands for. Unset, empty or relative: the account's home.",
    "PATH": "Where `config check` looks for the program of a hook, and the hook's own.",
    "TZ": "The machine's time zone, for `cron` and `download.limit` without `daemon.time_zone`.",
    "SSL_CERT_FILE": "Certificates (PEM) to trust, where `source.ca_bundle` is not set.",
    "SSL_CERT_DIR": (
        "Folders of certificates to trust, where neither `source.ca_bundle` nor `SSL_CERT_FILE` is"
        " set. Without any of them: certifi's."
    ),
    "TERM": "`dumb`: lines in place of progress bars.",
    "NO_COLOR": "Not empty: no colours in the log.",
    "JOURNAL_STREAM": "Set by systemd: whether stderr goes to the journal.",
    "NOTIFY_SOCKET": "Set by systemd: where the daemon tells that it is ready, and its state.",
    "WATCHDOG_USEC": "Set by systemd: how often the daemon must say that it is alive.",
    "WATCHDOG_PID": "Set by systemd: for which process the one above is.",
}
"""What the package reads by name."""

LIBRARIES: Mapping[str, str] = {
    "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY": (
        "Proxies, where `source.proxy` is not set. Names in small letters go first."
    ),
    "NO_PROXY": (
        "Hosts, addresses and networks (`10.0.0.0/8`, `fd00::/8`) that are reached without a proxy"
        " of the environment."
    ),
    "XDG_CONFIG_HOME, XDG_CONFIG_DIRS": "Where the user's and the site's configuration lie.",
    "PGPASSFILE, PGSSLMODE, …": "libpq's own, for a ledger in PostgreSQL.",
}
"""What the standard library and others read for it."""


def page() -> str:
    """Make the page."""
    overrides = [
        (code(key.variable), code(key.full_name)) for key in keys() if key.variable is not None
    ]
    return whole(
        "Environment variables",
        "## Read by artifact-sync",
        table(["variable", "what it does"], _rows(READ)),
        "## Read by what it is made of",
        table(["variable", "what it does"], _rows(LIBRARIES)),
        "## Overrides of the configuration",
        "Each stands over the key in the file. An unknown one is an error. Lists have commas"
        " between their values. A relative path begins at the working directory."
        ' `ARTIFACT_SYNC_REPO__NAME="org/a, org/b"` replaces the list of repositories; any other'
        " `ARTIFACT_SYNC_REPO__…` sets its key in each of them.",
        table(["variable", "key"], overrides),
        "Any variable can also be named in the configuration: `${NAME}` is its value there.",
    )


def read_in_source() -> frozenset[str]:
    """Names that the package's source takes from an environment.

    Only names that it has as a text or a constant: ``environ.get("NAME")``, ``environ[NAME]``; and
    systemd's.
    """
    return frozenset(VARIABLES) | frozenset(
        name
        for path in PACKAGE.rglob("*.py")
        if PACKAGE / "simulator" not in path.parents
        for name in _read_in(ast.parse(path.read_text(encoding="utf-8")))
    )


def _read_in(tree: ast.Module) -> Iterator[str]:
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        name = _asked(node)
        value = constants.get(name.id) if isinstance(name, ast.Name) else None
        value = name.value if isinstance(name, ast.Constant) else value
        if isinstance(value, str):
            yield value


def _asked(node: ast.AST) -> ast.expr | None:
    """What is looked up in a name or attribute ``environ``; None: the node is no such thing."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=source, attr="get" | "getenv" | "pop"), args=[name, *_]
        ):
            pass
        case ast.Subscript(value=source, slice=name, ctx=ast.Load()):
            pass
        case _:
            return None
    spelled = source.attr if isinstance(source, ast.Attribute) else getattr(source, "id", "")
    return name if spelled in {"environ", "os"} else None


def _rows(known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for names, told in known.items():
        yield ", ".join(map(code, names.split(", "))), told
