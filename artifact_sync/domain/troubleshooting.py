"""Which section of the documentation explains a message, found by its words.

A message whose words are nowhere here has the section of its ``Reason``. The sections are in
docs/troubleshooting/; a test holds them, these words and the program's messages against each other.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from artifact_sync.domain.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MOST = 200
"""Different messages of one report that are looked up."""

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    # the special ones before what is a part of them
    "service#proxy": (
        "no connection to the proxy",
        "no answer through the proxy",
        "the proxy … refuses the connection",
        "through the proxy …, whose answer this may be",
        "can't be used: give an http:// or https:// URL",
        "can't be used: install httpx[socks]",
    ),
    "configuration#no-proxy": ("is no host, address or network, and was left out",),
    "service#certificate": (
        "its certificate is not trusted",
        "TLS failed",
        "can't be used (…): give a PEM file",
        "can't be used (…): give a folder of openssl rehash",
        "source.ca_bundle: … is not a file",
    ),
    "artifacts#no-logs": ("no permission to read the logs of cubes",),
    "service#no-token": (
        "the service wants a token and none was given",
        "there is no token: set source.token_file or SOURCECRAFT_TOKEN",
    ),
    "service#token-refused": (
        "the service refused the token",
        "the service refuses the token; put a valid one into its place",
    ),
    "service#no-right": ("the token has no right to see it",),
    "service#not-found": (
        "not found, or the token may not see it",
        "a name that is empty or only dots can't be asked for",
    ),
    "service#redirect": ("the service redirects to …, where the token must not go",),
    "service#no-answer": (
        "no answer from",
        "the answer was not complete after",
        "the service cannot be reached; it is tried again now and then",
    ),
    "service#overloaded": (
        "the service can't answer now",
        "the service asked not to be asked for another",
    ),
    "service#bad-answer": (
        "the service does not take the request",
        "the answer makes no sense",
        "the answer is longer than … bytes",
        "the answer has a content coding that was not asked for",
        "the answer was cut short or garbled",
        "the answer is cut short or is no JSON object",
        "a redirect to nowhere",
        "a name or page token is too long to be asked for",
        "pages in a row brought nothing new",
        "a page token came twice, so it has no end",
        "the log of the cube has no end after",
        "no usable slug",
        "has no status: try again, or report it to the service",
    ),
    "service#unfinished": ("has not finished, its status is",),
    "service#empty-list": ("the list of runs of … is empty, and was not",),
    "service#forgotten": ("is not there any more, or the token may not see it",),
    "service#unknown-status": (
        "taken as not finished",
        "taken as not yet there",
    ),
    "artifacts#unsigned": (
        "mirror.verify_command …: no signature can be checked",
        "a manifest is not signed",
    ),
    "artifacts#lost": ("lost since … (SHA-256 …): it was here, and",),
    "artifacts#nothing-to-forget": (
        "no artifact of … fits",
        "nothing of … was forgotten",
    ),
    "artifacts#say-yes": ("--delete removes files for good: say --yes",),
    "artifacts#forgotten": (
        "was forgotten on purpose",
        "left, nobody recorded it",
    ),
    "fleet#queue": (
        "the queue of jobs was lost",
        "the queue of jobs in the ledger's database cannot be reached",
        "the planner's lock was lost",
        "jobs of workers that do not answer go to others",
        "a job of another version is left out",
        "workers share a ledger in PostgreSQL",
    ),
    "fleet#planned": ("plans the passes over this mirror, and a daemon would plan them twice",),
    "fleet#move": (
        "no unfinished move of this mirror",
        "the mirror was moved there already",
        "a move to this mirror is not finished",
        "is the mirror itself, or within",
        "and mirror.layout where it is to go is",
        "the ledger where the mirror is to go is the one that it has",
        "archives are unpacked in this mirror, and nothing can be in an object store",
        "damaged files are not moved",
    ),
    "fleet#shared-limits": (
        "the limits that all processes keep together cannot be had",
        "a limit that all processes keep together could not be renewed",
        "others could not be told that the service asked to wait",
        "the ledger's database does not answer what processes agree on",
        "the ledger's database has lost the table fleet_limits",
    ),
    "fleet#lock-lost": (
        "the lock of … was lost, perhaps to somebody else",
        "the connection for the locks of repositories was lost",
        "what this process claimed cannot be claimed anew",
        "the pooler before PostgreSQL gives its connections for a transaction only",
        "the pooler before PostgreSQL has no session left",
    ),
    "pruning#refused": (
        "runs stay that the rules would have go",
        "more than keep.max_share",
        "its list of runs was never read",
        "its list of runs is not to be trusted",
        "its list of runs was read in the future",
        "its list of runs was last read at",
        "its newest run lies in the future",
    ),
    "pruning#too-much": ("more than keep.max_size", "keep.max_size has no room"),
    "pruning#failed": ("runs could not be pruned",),
    "pruning#strangers": ("left in the folder of a pruned run: nobody recorded it",),
    "pruning#plan": (
        "a plan holds for seven days",
        "was made in the future: this machine's clock is wrong, or was",
        "is too large for a plan",
        "is no plan: prune --plan FILE writes one",
        "is a plan of another mirror: make one",
        "--apply carries out the whole plan: name no repository",
        "--dry-run, --plan and --apply exclude each other: give one of them",
    ),
    "pruning#pruned": ("was pruned",),
    "pruning#pins": (
        "is not pinned: artifact-sync pins lists what is",
        "--reason is longer than … characters: say it in fewer",
    ),
    "artifacts#gone": ("the file's server answered 404", "the file's server answered 410"),
    "artifacts#collision": ("it would be one file or folder with",),
    "archives#unsafe-archive": ("it is not unpacked: …",),
    "artifacts#unsafe-path": (
        "leads out of its folder",
        "is absolute: change it in the CI file",
        "names no file: change it in the CI file",
        "begins with a drive letter of Windows",
        "has more than … components: change it in the CI file",
        "holds a control character",
        "is not valid Unicode",
        "holds a backslash, which is a separator on Windows",
        "ends with a dot or a space, which Windows drops",
        "is the name of a device on Windows",
        "bytes: rename it in the CI file",
        "the path … is longer than … bytes",
        "an empty name cannot become a folder of the mirror",
    ),
    "artifacts#changed-while-it-came": (
        "what was staged of it was changed while it came",
        "a staged file was changed by somebody else",
    ),
    "artifacts#integrity": ("of the bytes is … but … says",),
    "downloads#no-end": ("the server gave neither a length nor a marked end",),
    "downloads#error-page": ("the file's server sent an error document",),
    "downloads#link": (
        "the service says that the artifact is there but gives no link to it",
        "the link can't be used",
        "nothing can carry the link to",
    ),
    "downloads#redirect": (
        "redirects from https to http",
        "redirects to what can't be used",
        "redirects in a circle",
        "more than … redirects",
    ),
    "artifacts#stranger": (
        "a stranger was in the way",
        "a changed file was moved out of the way",
    ),
    "artifacts#damaged": (
        "artifact-sync verify --repair fetches damaged files again",
        "a mirrored file is fetched again",
        "files were taken or changed in the mirror",
        "damage could not be requested again",
        "a mirrored file shares nothing: it is damaged",
        "is missing from the mirror",
        "is not what was recorded, and was not",
    ),
    "artifacts#made-anew": ("is another one than what was mirrored, its repository was made anew",),
    "downloads#plain-http": ("files come over plain http, where others may read them",),
    "ledger#no-space": ("no space left for the ledger",),
    "ledger#another-mirror": (
        "the ledger belongs to another mirror",
        "the ledger belongs to a mirror that is not at",
    ),
    "ledger#layout": ("this mirror was laid out as",),
    "ledger#too-new": ("the ledger was written by a newer artifact-sync",),
    "ledger#locked": ("the ledger … is locked by another process",),
    "ledger#damaged": (
        "the ledger … is damaged",
        "the ledger … is not a ledger but some other file",
    ),
    "ledger#lost": (
        "there are runs of a mirror in …, and no ledger",
        "there are runs of a mirror here, and no ledger",
    ),
    "ledger#unfit": (
        "nothing says which run these files are of",
        "is no path for a file of the run",
        "whose folder is … by mirror.layout",
        "is newer than this version knows: update artifact-sync",
        "the ledger knows another run of this number",
    ),
    "ledger#cannot-be-opened": (
        "the ledger … cannot be opened",
        "the ledger … cannot be written",
        "the ledger … cannot be read or written",
    ),
    "ledger#unreachable": (
        "the ledger … is not there: start PostgreSQL",
        "the ledger … does not answer",
        "the ledger … was lost",
        "the ledger … is on a host that is unknown",
        "the ledger … cannot be connected to",
        "the ledger … has no connection left",
        "the ledger … is just starting or stopping",
        "the ledger … takes too long",
    ),
    "ledger#not-let-in": (
        "the ledger … does not take this user and password",
        "the ledger … lets this user not in from here",
        "the ledger … may not be used by this user",
        "the ledger … has no schema for this user",
        "the ledger … does not exist: make it with createdb",
        "the ledger … cannot be reached by TLS as asked",
        "the ledger … is open for reading only",
    ),
    "ledger#encoding": ("the ledger … is not in UTF-8",),
    "ledger#url": (
        "ledger.url must",
        "ledger.url of SQLite takes no",
        "ledger.url has an option",
        "does not take an option of ledger.url",
    ),
    "ledger#none-yet": (
        "there is no ledger at … yet",
        "nothing is mirrored in … yet",
        "nothing of … is mirrored; what is",
    ),
    "ledger#no-such-run": (
        "an empty RUN or GLOB names nothing",
        "stands for several repositories: name one of them",
        "has no run",
        "this is the address of run",
        "name a run of",
    ),
    "ledger#not-recorded": ("failures could not be recorded",),
    "configuration#extra": (
        "pip install 'artifact-sync[web]'",
        "pip install 'artifact-sync[postgres]'",
        "pip install 'artifact-sync[fleet]'",
        "pip install 'artifact-sync[s3]'",
    ),
    "store#refused": (
        "refuses these credentials",
        "the credentials of the object store cannot be read",
        "has no keys of AWS",
        "finds this machine's clock wrong",
    ),
    "store#unreachable": (
        "does not answer as it should",
        "refuses what was asked",
        "is in another region or at another address",
        "the object was replaced while it was read",
        "is full or over quota",
    ),
    "store#gone": (
        "its .artifact-sync/id was removed",
        "the bucket of the mirror … does not exist",
        "there are files in this object store, and the ledger knows no run",
    ),
    "store#conditions": (
        "this object store ignores conditions",
        "that removes the parts of abandoned uploads",
    ),
    "store#settings": (
        "needs its ledger elsewhere",
        "needs a mirror in a folder, and this one is",
        "--quick is for a mirror in an object store",
        "an object store has no file system",
        "mirror.durability does nothing in an object store",
        "mirror.min_free does nothing: an object store",
        "does nothing for a mirror in a folder",
        "cannot be opened: look at its address",
        "nothing is unpacked in an object store",
        "makes a key of more than … bytes",
        "an object there has a key with //, /./ or a control character",
    ),
    "disk#no-space": (
        "MiB must stay so",
        "no space left",
        "the quota on this disk is used up",
        "no room on the mirror's disk",
    ),
    "disk#output": ("cannot write the output",),
    "disk#daemon-holds-it": (
        "which holds it until it is stopped; it cannot be asked now",
        "no daemon answers in",
    ),
    "disk#in-use": (
        "the mirror … is in use by",
        "is being worked on: wait for that to end",
    ),
    "disk#no-locks": ("this file system offers no locks",),
    "disk#mirror-gone": (
        "the mirror … is not there any more",
        "the mirror cannot be used; nothing is done until it can",
    ),
    "disk#not-mounted": ("mirror.must_be_mounted wants one of its own",),
    "disk#no-id": ("holds no mirror's id",),
    "disk#in-the-way": (
        "is no folder, but artifact-sync keeps its own files there",
        "belongs to another user (id …)",
        "is no regular file: move it away",
        "is neither file, folder nor link, and lies on another file system",
        "was changed while it was copied",
        "something else keeps appearing in its place",
        "is no folder: give --root or mirror.root the folder of a mirror",
        "mirror.root: … is not a folder",
    ),
    "disk#file-names": ("this system's encoding of file names",),
    "disk#displaced-stays": ("displaced files could not be removed",),
    "disk#displaced": (
        "see artifact-sync displaced list",
        "was displaced more than once",
        "left, something stands in its place",
    ),
    "disk#lock-removed": ("the mirror's lock was removed; it is made again",),
    "disk#no-symbolic-links": (
        "no symbolic links here: latest and latest-success are left out",
        "this file system has no reflinks",
        "this file system has no hard links",
    ),
    "limits#open-files": (
        "raise the limit on open files",
        "HTTP clients have to wait",
    ),
    "limits#memory": ("the system gives no more memory", "of memory is too little"),
    "limits#threads": ("the system gives no further thread or process",),
    "limits#slower": ("downloads go by httpx, which is slower",),
    "limits#lines-lost": ("lines before this one are lost",),
    "limits#bug": (
        "this is a bug",
        "a bug in artifact-sync",
        "in a way that is a bug",
        "refused a statement",
        "looking at the mirror has failed",
        "a look has failed",
        "has failed and is begun again",
    ),
    "disk#unreadable": (
        "a file of the mirror cannot be read",
        "the mirror is not verified for the time being",
    ),
    "disk#refused": (
        "mount it read-write",
        "give this user the right to it",
        ": check the disk",
        "something is mounted there, or it is in use: unmount it",
        "could not be given to a staged file",
    ),
    "configuration#old-one-stays": ("the new configuration is not used, the old one stays",),
    "configuration#old-token-stays": ("the token cannot be read, the old one stays",),
    "configuration#restart": ("this takes effect when artifact-sync is restarted",),
    "daemon#no-secret": (
        "webhook calls were refused: there is no secret to check them by",
        "calls of the webhook are refused until this is mended",
        "webhook secret file",
    ),
    "configuration#secret-file": (
        "others can read or write it (mode …)",
        "is empty; put a personal access token there",
        "is too long for a token",
        "only the token itself belongs there",
        "the token holds spaces or characters that no token has",
        "token file …: cannot be read",
    ),
    "configuration#no-file": (
        "there is no such file; artifact-sync config init writes one",
        "no home folder is known",
    ),
    "configuration#unreadable": (
        "is too large for a configuration",
        "is not UTF-8, which TOML must be",
        "is UTF-16, as some editors save",
        "not valid TOML",
    ),
    "configuration#unknown-key": (
        "unknown key; …",
        "unknown section; …",
        "no such override; …",
    ),
    "configuration#variable": ("the environment variable … is not set",),
    "configuration#no-mirror": (
        "no mirror: give --root DIR",
        "mirror.root is not set: sync needs --root",
    ),
    "configuration#no-repository": (
        "no repository: name one",
        "there is no [[repo]]: sync needs ORG/REPO",
        "no repository to look after: add a [[repo]] to the configuration",
    ),
    "configuration#fits-nothing": ("has fitted no … so far", "has fitted nothing"),
    "configuration#init": ("is there already; --force replaces it", "cannot be written"),
    "finding#nothing-fits": (
        "no mirrored file of",
        "has no complete run so far",
        "has no complete run that succeeded so far",
        "ends with @ and names no run",
    ),
    "finding#unknown": (
        "no artifact is known at",
        "and nothing of it is known any more",
        "is a folder: name a file of it, such as",
        "is a manifest, no artifact",
    ),
    "finding#lines": ("a path would be taken for several lines",),
    "finding#state": ("no artifact is ever …: there is …", "a SHA-256 is 64 characters of"),
    "configuration#value": ("the configuration is not valid",),
    "daemon#lost": (
        "the daemon ended before it had answered",
        "the daemon ended in the midst of its answer",
        "the daemon takes no calls, it may hang",
        "the daemon is silent, and may hang",
        "the daemon has been silent for too long",
        "the daemon gives no answer within",
        "the daemon was lost",
    ),
    "daemon#another-version": (
        "the daemon's answer cannot be understood",
        "the daemon's answer has a line that is too long",
    ),
    "daemon#busy": (
        "too many ask the daemon at the same time",
        "too many names and patterns to ask the daemon at once",
        "a name or pattern is no text that the daemon could be asked for",
        "the status is too long to be sent",
    ),
    "daemon#another-user": (
        "the daemon answers its own user and root only",
        "run the command as that user",
        "another user was refused on the socket",
    ),
    "daemon#another-service": (
        "the daemon mirrors from …, and this configuration has source.base_url",
    ),
    "daemon#stopping": (
        "the daemon is stopping",
        "the daemon was stopped before it was done",
        "the daemon has ended",
    ),
    "daemon#no-socket": ("no socket: sync and status cannot ask this daemon",),
    "daemon#system-watch": (
        "raise fs.inotify.max_user_watches",
        "raise fs.inotify.max_user_instances",
    ),
    "daemon#watch": (
        "the mirror cannot be watched; each pass looks at its newest files instead",
        "the watch over the mirror begins anew",
        "too many to be watched",
        "in the mirror is a symbolic link out of it",
        "a file's name in the mirror is no UTF-8",
        "a folder of the mirror may not be read",
    ),
    "daemon#no-events": ("the running passes send no events any more",),
    "daemon#supervisor": (
        "the service manager cannot be notified",
        "systemd cannot be notified",
    ),
    "daemon#cannot-listen": ("web.listen: cannot listen on",),
    "daemon#open-port": ("other machines can reach the web port",),
    "daemon#unsigned": (
        "webhook calls without a signature were refused",
        "webhook calls with a wrong signature were refused",
    ),
    "daemon#not-understood": ("signed webhook calls could not be understood",),
    "daemon#unknown-repository": ("a webhook names a repository that the configuration does not",),
    "daemon#not-ready": (
        "the service cannot be used since",
        "lags by",
        "no answer in time: the ledger or a disk is slow, or hangs",
        "the ledger gives no answer",
        "the first listing has not been tried yet",
        "was not taken as it is now",
        "these count only after a restart of the daemon",
        "the watch over the mirror does not work, and each pass looks instead",
    ),
    "hooks#failed": (
        "a hook could not be told, and is tried again",
        "a hook could not be told, and is not tried again",
    ),
    "hooks#unknown": ("no delivery … waits: artifact-sync hooks lists what does",),
    "hooks#ledger": ("hooks could not be told, which waits for the next time",),
    "hooks#removed": ("deliveries were dropped: their hook is not in the configuration any more",),
    "daemon#no-show": ("a webhook announced a run that did not show up",),
}
"""The messages of each section, the first that fits counting. ``…`` stands for anything."""

OF_REASON: Final[Mapping[Reason, str]] = {
    Reason.USAGE: "configuration#value",
    Reason.BUSY: "disk#in-use",
    Reason.CREDENTIALS: "service#token-refused",
    Reason.PERMISSION: "artifacts#no-logs",
    Reason.NOT_FOUND: "service#not-found",
    Reason.UNREACHABLE: "service#no-answer",
    Reason.BAD_ANSWER: "service#bad-answer",
    Reason.UNFINISHED: "service#unfinished",
    Reason.LINK: "downloads#link",
    Reason.GONE: "artifacts#gone",
    Reason.LOST: "artifacts#lost",
    Reason.UNSIGNED: "artifacts#unsigned",
    Reason.TIMEOUT: "downloads#broken-off",
    Reason.CUT: "downloads#broken-off",
    Reason.THROTTLED: "downloads#broken-off",
    Reason.BAD_RESPONSE: "downloads#bad-response",
    Reason.ERROR_PAGE: "downloads#error-page",
    Reason.INTEGRITY: "artifacts#integrity",
    Reason.MISSING: "artifacts#damaged",
    Reason.UNFIT: "ledger#unfit",
    Reason.UNSAFE_PATH: "artifacts#unsafe-path",
    Reason.COLLISION: "artifacts#collision",
    Reason.NOTHING_FITS: "finding#nothing-fits",
    Reason.IN_THE_WAY: "finding#in-the-way",
    Reason.UNSAFE_ARCHIVE: "archives#unsafe-archive",
    Reason.DISK: "disk#refused",
    Reason.NO_SPACE: "disk#no-space",
    Reason.MAX_SIZE: "pruning#too-much",
    Reason.LIMIT: "limits#memory",
    Reason.INTERNAL: "limits#bug",
}
"""The section of a message whose words are not above. An interruption asks nothing of a person."""


def section_of(message: str, reason: Reason | None = None) -> str | None:
    """The section that explains a message: ``disk#no-space``; None: there is none."""
    found = (section for section, words in WORDS.items() if any(_says(message, it) for it in words))
    return next(found, OF_REASON.get(reason) if reason is not None else None)


def sections_of(messages: Iterable[tuple[str, Reason]]) -> Iterator[str]:
    """The sections of many messages, each once, of the first few hundred at least."""
    different = islice(dict.fromkeys(messages), _MOST)
    found = (section_of(message, reason) for message, reason in different)
    yield from dict.fromkeys(section for section in found if section is not None)


def _says(message: str, words: str) -> bool:
    """Whether the parts of some words stand in a message, in their order."""
    end = 0
    for part in words.split("…"):
        begin = message.find(part, end)
        if begin < 0:
            return False
        end = begin + len(part)
    return True
