"""An object store that fails in the middle of things, seen through the adapter alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPConnection
from threading import Event
from typing import TYPE_CHECKING
from uuid import uuid4

import obstore
import pytest
from object_proxy import Asked, ObjectProxy
from object_stores import KEYS, ObjectServer
from publishing import publish_bytes, publish_content
from renewed_locks import RenewedLocks
from user import wait_until

from artifact_sync.domain.errors import (
    BucketAbsent,
    DiskError,
    ExitCode,
    LeaseLost,
    MirrorGone,
    Reason,
    StoreUnreachable,
    UnsafePath,
    UsageError,
)
from artifact_sync.domain.model import MirrorPath, StagedContent
from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.objects.object_mirror import ObjectMirror
from artifact_sync.mirror.objects.open_bucket import StoreTerms, open_bucket
from artifact_sync.mirror.objects.store_errors import Conflict
from artifact_sync.runtime.threads import Offload, Threads
from fleet_demo.servers import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("objects-moto")

PATH = MirrorPath("acme/shop/42/build/compile/linux/app.tar")
LARGE = 20 << 20


@pytest.fixture
def proxy(object_server: Callable[[str], ObjectServer]) -> Iterator[ObjectProxy]:
    it = ObjectProxy(object_server("moto").endpoint or "")
    yield it
    it.stop()


@pytest.fixture
def prefix() -> str:
    return f"harm/{uuid4().hex}"


def mirror_at(endpoint: str | None, prefix: str, **options: float) -> ObjectMirror:
    server = ObjectServer(endpoint, silence=5.0)
    return server.mirror(prefix, **options)


def staged(folder: Path, size: int) -> StagedContent:
    file = folder / f"{size}.part"
    file.write_bytes(bytes(range(256)) * (size // 256))
    return StagedContent(size, hashlib.sha256(file.read_bytes()).hexdigest(), file)


def test_a_large_file_goes_by_parts_each_with_its_sum(
    proxy: ObjectProxy, prefix: str, tmp_path: Path
) -> None:
    mirror, content = mirror_at(proxy.endpoint, prefix), staged(tmp_path, LARGE)
    publish_content(mirror, content, PATH)
    parts = [it for it in proxy.asked if "partNumber=" in it.path]
    assert [len(it.body) <= 8 << 20 for it in parts] == [True] * 3
    assert proxy.unsummed == []
    now = datetime.now(UTC)
    assert mirror.vouched(PATH, now) == mirror.digest(PATH) == (LARGE, content.sha256)


@pytest.mark.parametrize("harm", ["corrupt", "lost", "503", "stall"])
def test_a_part_that_is_spoilt_is_sent_again_or_nothing_is_there(
    proxy: ObjectProxy, prefix: str, tmp_path: Path, harm: str
) -> None:
    mirror, content = mirror_at(proxy.endpoint, prefix), staged(tmp_path, LARGE)
    left = [harm]
    proxy.harm = lambda asked: left.pop() if left and "partNumber=2" in asked.path else None
    publish_content(mirror, content, PATH)
    assert mirror.digest(PATH) == (LARGE, content.sha256)


def test_a_slow_line_is_no_silent_store(proxy: ObjectProxy, prefix: str) -> None:
    terms = StoreTerms(proxy.endpoint, silence=1.0, slowest=1_000_000.0, pause=0.01)
    bucket, below = open_bucket(f"s3://artifacts/{prefix}", terms, {})
    mirror = ObjectMirror(bucket, below, Layout(DEFAULT_LAYOUT))
    mirror.prepare()
    proxy.asked.clear()
    proxy.pace, content = 2_000_000.0, bytes(4_000_000)  # two seconds, of nine that it may take
    publish_bytes(mirror, content, PATH)
    assert [it.method for it in proxy.asked if it.path.endswith(PATH)] == ["PUT"]
    assert mirror.read(PATH) == content


def test_a_large_file_that_is_changed_while_it_goes_leaves_nothing_there(
    proxy: ObjectProxy, prefix: str, tmp_path: Path
) -> None:
    mirror, content = mirror_at(proxy.endpoint, prefix), staged(tmp_path, LARGE)
    content.data.write_bytes(bytes(LARGE))  # type: ignore[union-attr]
    with pytest.raises(DiskError, match="changed by somebody else"):
        publish_content(mirror, content, PATH)
    assert mirror.find(PATH) is None
    assert [it.method for it in proxy.asked if "uploadId" in it.path][-1] == "DELETE"


def test_what_was_begun_under_a_lock_that_is_lost_gets_no_name_under_a_newer_one(
    proxy: ObjectProxy, prefix: str, tmp_path: Path
) -> None:
    mirror, locks = mirror_at(proxy.endpoint, prefix), RenewedLocks()
    mirror.share(locks.fence)
    publish_bytes(mirror, b"here", PATH)
    new, whole = MirrorPath("a/new"), staged(tmp_path, LARGE)

    def renew(asked: Asked) -> str | None:
        if asked.method not in {"PUT", "DELETE"} and "delete" not in asked.path:
            return None
        locks.renew()
        return None if "uploadId" in asked.path else "ExpiredToken"  # so it is tried again

    changes: list[Callable[[], object]] = [
        lambda: publish_content(mirror, whole, new),
        lambda: publish_bytes(mirror, b"new", new),
        lambda: publish_bytes(mirror, b"other", PATH),
        lambda: mirror.remove([PATH]),
    ]
    proxy.harm = renew
    for change in changes:
        with pytest.raises(LeaseLost, match="acme/shop was lost"):
            change()
    proxy.harm = lambda _: None
    assert mirror.read(PATH) == b"here"
    assert mirror.find(new) is None


def test_a_manifest_that_is_sent_again_replaces_no_newer_one(
    proxy: ObjectProxy, prefix: str, object_server: Callable[[str], ObjectServer]
) -> None:
    mirror, locks, server = mirror_at(proxy.endpoint, prefix), RenewedLocks(), object_server("moto")
    mirror.share(locks.fence)
    manifest, newer = MirrorPath("acme/shop/42/run.json"), [b"another process's"]
    for content in (b"old", b"older than it"):
        mirror.replace(content, manifest)
        assert mirror.read(manifest) == content

    def harm(asked: Asked) -> str | None:
        if asked.method != "PUT" or not newer:
            return None
        locks.lose()
        server.write(prefix, manifest, newer.pop())
        return "503"

    proxy.harm = harm
    with pytest.raises(LeaseLost, match="acme/shop was lost"):
        mirror.replace(b"ours", manifest)
    assert mirror.read(manifest) == b"another process's"


def test_an_upload_that_was_left_ends_without_a_name(
    proxy: ObjectProxy, prefix: str, tmp_path: Path
) -> None:
    terms = StoreTerms(proxy.endpoint, leaving=0.0)
    mirror = ObjectMirror(
        *open_bucket(f"s3://artifacts/{prefix}", terms, {}), Layout(DEFAULT_LAYOUT)
    )
    content, is_sending, may_come = staged(tmp_path, LARGE), Event(), Event()

    def hold(asked: Asked) -> None:
        if "partNumber" in asked.path:
            is_sending.set()
            may_come.wait(60)

    async def leave() -> None:
        with Threads(1, "disk", patience=60.0) as threads:
            publishing = Offload(threads).start(publish_content, mirror, content, PATH)
            await asyncio.to_thread(is_sending.wait, 60)
            publishing.cancel()
            with pytest.raises(StoreUnreachable, match="stopped while it was silent"):
                await publishing

    proxy.harm = hold
    asyncio.run(leave())
    may_come.set()
    wait_until(lambda: any("uploadId" in it.path and it.method != "PUT" for it in proxy.asked))
    assert [it.method for it in proxy.asked if "uploadId" in it.path][-1] == "DELETE"
    assert mirror.find(PATH) is None


def test_what_was_written_before_the_answer_was_lost_is_not_displaced(
    proxy: ObjectProxy, prefix: str
) -> None:
    mirror = mirror_at(proxy.endpoint, prefix)
    publish_bytes(mirror, b"first", MirrorPath("a/first"))  # the probe is over
    left = ["lost"]
    proxy.harm = lambda asked: left.pop() if left and asked.method == "PUT" else None
    assert publish_bytes(mirror, b"whole", PATH) is None
    assert mirror.read(PATH) == b"whole"
    assert not list(mirror.displaced())


def test_a_stranger_who_writes_between_look_and_write_is_not_overwritten(
    proxy: ObjectProxy, prefix: str, object_server: Callable[[str], ObjectServer]
) -> None:
    mirror, server = mirror_at(proxy.endpoint, prefix), object_server("moto")
    publish_bytes(mirror, b"old", PATH)
    strangers = [b"second", b"first"]

    def harm(asked: object) -> None:
        if strangers and "if-match" in asked.headers:  # type: ignore[attr-defined]
            server.write(prefix, PATH, strangers.pop())

    proxy.harm = harm
    publish_bytes(mirror, b"new", PATH)
    assert mirror.read(PATH) == b"new"
    kept = server.objects(f"{prefix}/.artifact-sync/displaced").values()
    assert sorted(kept) == [b"first", b"old", b"second"]


def test_a_conflict_for_nothing_copies_what_is_displaced_once(
    proxy: ObjectProxy, prefix: str
) -> None:
    mirror = mirror_at(proxy.endpoint, prefix)
    publish_bytes(mirror, b"old", PATH)
    left = ["412", "412"]
    proxy.harm = lambda asked: left.pop() if left and "if-match" in asked.headers else None
    publish_bytes(mirror, b"new", PATH)
    assert mirror.read(PATH) == b"new"
    assert left == []
    assert len(list(mirror.displaced())) == 1


def test_a_copy_to_what_is_displaced_holds_up_no_other_file(
    proxy: ObjectProxy, prefix: str
) -> None:
    mirror = mirror_at(proxy.endpoint, prefix)
    publish_bytes(mirror, b"old", PATH)
    is_copying, may_copy = Event(), Event()

    def hold(asked: Asked) -> None:
        if "x-amz-copy-source" in asked.headers:
            is_copying.set()
            may_copy.wait(60)

    proxy.harm = hold
    with ThreadPoolExecutor(2) as threads:
        over = threads.submit(publish_bytes, mirror, b"new", PATH)
        assert is_copying.wait(60)
        other = threads.submit(publish_bytes, mirror, b"other", MirrorPath("a/other"))
        try:
            assert other.result(30) is None
        finally:
            may_copy.set()
        assert over.result() is not None
    assert mirror.read(PATH) == b"new"


def test_a_stranger_who_writes_while_a_large_file_goes_is_not_overwritten(
    proxy: ObjectProxy,
    prefix: str,
    tmp_path: Path,
    object_server: Callable[[str], ObjectServer],
) -> None:
    mirror, server = mirror_at(proxy.endpoint, prefix), object_server("moto")
    strangers = [b"second", b"first"]

    def harm(asked: Asked) -> None:
        if strangers and "partNumber=2" in asked.path:
            server.write(prefix, PATH, strangers.pop())

    proxy.harm = harm
    content = staged(tmp_path, LARGE)
    publish_content(mirror, content, PATH)
    assert mirror.digest(PATH) == (LARGE, content.sha256)
    kept = server.objects(f"{prefix}/.artifact-sync/displaced").values()
    assert sorted(kept) == [b"first", b"second"]


def test_what_is_too_large_for_one_copy_is_copied_by_parts_with_what_is_said_of_it(
    proxy: ObjectProxy, prefix: str, object_server: Callable[[str], ObjectServer]
) -> None:
    bucket, server = mirror_at(proxy.endpoint, prefix)._bucket, object_server("moto")
    source, whole = f"{prefix}/source", bytes(range(256)) * (9 << 12)
    bucket.put(source, whole, hashlib.sha256(whole).hexdigest())
    found = bucket.head(source)
    assert found is not None
    bucket.copy_by_parts(found, f"{prefix}/copy")
    copy = bucket.head(f"{prefix}/copy")
    assert copy is not None
    assert (copy.size, copy.sha256) == (len(whole), found.sha256)
    assert server.objects(prefix)["copy"] == whole
    with pytest.raises(Conflict):  # somebody has been there before
        bucket.copy_by_parts(found, f"{prefix}/copy")


def test_each_kind_of_store_is_asked_at_the_endpoint_that_is_named(prefix: str) -> None:
    asked = ObjectProxy("")
    asked.harm = lambda _: "403"
    azure = {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}
    gcs = {"GOOGLE_SKIP_SIGNATURE": "true"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, **azure, **gcs}.items():
            patch.setenv(name, value)
        for scheme in ("s3", "gs", "az"):
            bucket, _ = open_bucket(f"{scheme}://b/{prefix}", StoreTerms(asked.endpoint), {})
            with pytest.raises(DiskError, match="refuses these credentials"):
                bucket.head(f"{prefix}/{scheme}")
    asked.stop()
    assert [it.path[-2:] for it in asked.asked] == ["s3", "gs", "az"]


def test_a_store_that_is_away_or_refuses_says_so_without_its_keys(
    proxy: ObjectProxy, prefix: str
) -> None:
    mirror = mirror_at(proxy.endpoint, prefix)
    proxy.harm = lambda asked: "403" if asked.method == "PUT" else None
    with pytest.raises(DiskError, match=r"refuses these credentials \(403 AccessDenied\)") as no:
        publish_bytes(mirror, b"x", PATH)
    assert (no.value.reason, no.value.exit_code) == (Reason.DISK, ExitCode.NO_SPACE)
    proxy.harm = lambda _: "409"  # though nothing depends on a condition
    with pytest.raises(StoreUnreachable, match=r"409 ConditionalRequestConflict"):
        mirror.read(PATH)
    proxy.harm = lambda _: "PermanentRedirect"
    with pytest.raises(DiskError, match="in another region or at another address: set AWS_REGION"):
        mirror.read(PATH)
    proxy.harm = lambda _: "RequestTimeTooSkewed"
    with pytest.raises(DiskError, match="finds this machine's clock wrong: set it"):
        mirror.read(PATH)
    proxy.harm = lambda _: "500"
    with pytest.raises(StoreUnreachable, match=r"500 InternalError") as away:
        mirror.read(PATH)
    assert away.value.exit_code is ExitCode.UNREACHABLE
    proxy.stop()
    with pytest.raises(StoreUnreachable, match="does not answer as it should: look"):
        mirror.read(PATH)


def test_of_two_who_give_a_mirror_its_id_the_first_has_it(
    proxy: ObjectProxy, prefix: str, object_server: Callable[[str], ObjectServer]
) -> None:
    mirror, server = mirror_at(proxy.endpoint, prefix), object_server("moto")
    mirror.prepare()
    place, ours, other = ".artifact-sync/id", "0" * 32, b"1" * 32

    def faster(asked: Asked) -> None:
        if asked.method == "PUT" and asked.path.endswith(place):
            server.write(prefix, place, other)

    proxy.harm = faster
    assert not mirror.write_id(ours, None)
    server.write(prefix, place, b"")  # as a user says that this is the ledger's mirror
    assert not mirror.write_id(ours, "")
    assert server.objects(prefix)[place] == other
    proxy.harm = lambda _: None
    assert not mirror.write_id(ours, "")
    assert mirror.write_id(ours, other.decode())
    assert mirror.read_id() == ours


def test_a_mirror_whose_id_is_gone_or_another_s_is_not_touched(
    proxy: ObjectProxy, prefix: str, object_server: Callable[[str], ObjectServer]
) -> None:
    mirror, server = mirror_at(proxy.endpoint, prefix, trust=0.0), object_server("moto")
    assert mirror.write_id("0" * 32, None)
    publish_bytes(mirror, b"here", PATH)
    before = server.objects(prefix)
    server.write(prefix, ".artifact-sync/id", b"1" * 32)
    verbs: list[Callable[[], object]] = [
        mirror.check,
        lambda: mirror.find(PATH),
        lambda: mirror.sizes([PATH]),
        lambda: publish_bytes(mirror, b"x", PATH),
        lambda: mirror.replace(b"x", PATH),
        lambda: mirror.remove([PATH]),
        lambda: mirror.displace(PATH),
        lambda: mirror.digest(PATH),
        lambda: list(mirror.files(MirrorPath(""))),
        lambda: mirror.point(MirrorPath("acme/shop/latest"), MirrorPath("acme/shop/42")),
    ]
    for verb in verbs:
        with pytest.raises(MirrorGone, match="is another mirror's"):
            verb()
    server.remove(prefix, ".artifact-sync/id")
    with pytest.raises(MirrorGone):
        mirror.remove([PATH])
    server.write(prefix, ".artifact-sync/id", b"0" * 32 + b"\n")
    mirror.check()
    assert server.objects(prefix) == before


def test_a_key_has_1024_bytes_with_its_prefix_and_no_more(
    object_server: Callable[[str], ObjectServer],
) -> None:
    mirror = object_server("memory").mirror("päfix")
    room = 1024 - len("päfix/".encode())
    longest = "ä" * ((room - 2) // 2) + "/" + "b" * (room - 1 - (room - 2) // 2 * 2)
    assert len(longest.encode()) == room
    publish_bytes(mirror, b"x", MirrorPath(longest))
    assert mirror.read(MirrorPath(longest)) == b"x"
    with pytest.raises(UnsafePath, match="more than 1,024 bytes"):
        publish_bytes(mirror, b"x", MirrorPath(f"{longest}b"))


def test_keys_that_expire_are_read_again_from_their_file(
    proxy: ObjectProxy, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    file = tmp_path / "keys"
    key = "oldkeyoldkeyoldkey12"

    def renew(key: str) -> None:
        text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secretsecret{key}\n"
        new = tmp_path / "new"
        new.write_text(text)
        new.replace(file)

    renew(key)
    terms = StoreTerms(proxy.endpoint, file, silence=1.0, pause=0.2)
    bucket, below = open_bucket(f"s3://artifacts/{prefix}", terms, {})
    mirror = ObjectMirror(bucket, below, Layout(DEFAULT_LAYOUT))
    publish_bytes(mirror, b"one", PATH)

    def harm(asked: object) -> str | None:
        if key not in asked.headers["authorization"]:  # type: ignore[attr-defined]
            return None
        renew("newkeynewkeynewkey12")  # as whoever renews them does about now
        return "ExpiredToken"

    proxy.harm = harm
    publish_bytes(mirror, b"two", MirrorPath("a/b"))
    assert mirror.read(MirrorPath("a/b")) == b"two"
    assert "ExpiredToken" in [what for what, _ in proxy.done]
    file.write_text("[other]\n")
    with pytest.raises(UsageError, match="has no keys of AWS"):
        open_bucket(f"s3://artifacts/{prefix}", terms, {})


def test_a_key_of_azure_is_read_again_from_its_file(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "a")
    proxy, file = ObjectProxy(""), tmp_path / "key"
    proxy.harm = lambda _: "403"

    def signs(key: bytes) -> bool:
        """Whether the next request is signed by a key (Azure's "Authorize with Shared Key")."""
        with pytest.raises(DiskError, match="refuses these credentials"):
            bucket.head(f"{prefix}/x")
        it = proxy.asked[-1]
        version = f"x-ms-version:{it.headers['x-ms-version']}"
        told = ("HEAD", *[""] * 5, it.headers["date"], *[""] * 5, version, f"/a{it.path}")
        signature = base64.b64encode(hmac.digest(key, "\n".join(told).encode(), "sha256"))
        return it.headers["authorization"] == f"SharedKey a:{signature.decode()}"

    file.write_bytes(base64.b64encode(b"old") + b"\n")
    bucket, _ = open_bucket(f"az://b/{prefix}", StoreTerms(proxy.endpoint, file), {})
    assert signs(b"old")
    file.write_bytes(base64.b64encode(b"newer"))
    wait_until(lambda: signs(b"newer"))  # it is believed for a moment
    proxy.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="a key is no path there")
def test_a_stranger_s_odd_keys_are_listed_or_named(
    object_server: Callable[[str], ObjectServer], prefix: str
) -> None:
    server = object_server("moto")
    mirror = server.mirror(prefix)
    for path in ("o/r/1/a b%25+ü.bin", "o/r/1/x/..y", "o/r/1/\u2028"):
        publish_bytes(mirror, path.encode(), MirrorPath(path))
        assert mirror.read(MirrorPath(path)) == path.encode()
    assert len(list(mirror.files(MirrorPath("o/r")))) == 3
    obstore.delete(mirror._bucket._store, f"{prefix}/o/r/1/x/..y")
    assert len(list(mirror.files(MirrorPath("o/r")))) == 2
    strangers = HTTPConnection((server.endpoint or "").removeprefix("http://"))
    strangers.request("PUT", f"/{BUCKET}/{prefix}/o//r")
    strangers.getresponse().read()
    strangers.close()
    with pytest.raises(DiskError, match=r"a key with //, /\./ or a control character: remove it"):
        list(mirror.files(MirrorPath("o")))
    bucket, _ = open_bucket("s3://nonsuch/x", StoreTerms(server.endpoint), KEYS)
    with pytest.raises(BucketAbsent, match="does not exist in this object store: make it"):
        bucket.read("x/id")
