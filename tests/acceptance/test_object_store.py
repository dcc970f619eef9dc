"""A mirror in an object store, by the real program against a real store."""

from __future__ import annotations

import hashlib
import signal
import sys
from time import monotonic, time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from daemon_user import DaemonUser
from object_proxy import ObjectProxy
from small_disk import remount, tmpfs
from user import TOKEN, User, contents, organisation, wait_until

from artifact_sync.simulator import (
    Cube,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    Simulator,
    running_in_thread,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from object_stores import ObjectServer
    from postgres_server import Postgres

    from artifact_sync.simulator import Running

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="calls fork"),
    pytest.mark.xdist_group("objects-moto"),
]


class StoreUser(User):
    """A user whose mirror is in a store, with its ledger in SQLite."""

    def __init__(self, folder: Path, service: Running, server: ObjectServer) -> None:
        super().__init__(folder, service)
        self.server = server
        self.prefix = f"users/{uuid4().hex}"
        self.url = server.url(self.prefix)
        self.environ |= {
            **server.environ(),
            "ARTIFACT_SYNC_MIRROR__ROOT": self.url,
            "ARTIFACT_SYNC_LEDGER__URL": f"sqlite:///{folder / 'ledger.sqlite'}",
        }

    def objects(self) -> dict[str, bytes]:
        """Everything below the mirror's prefix."""
        return self.server.objects(self.prefix)

    def mirrored(self) -> dict[str, bytes]:
        """The artifacts alone."""
        return artifacts_of(self.objects())


def artifacts_of(objects: dict[str, bytes]) -> dict[str, bytes]:
    """Those of a mirror's objects that are artifacts."""
    return {
        path: content
        for path, content in objects.items()
        if path.count("/") > 3 and not path.startswith(".artifact-sync/")
    }


@pytest.fixture
def proxy(object_server: Callable[[str], ObjectServer]) -> Iterator[ObjectProxy]:
    it = ObjectProxy(object_server("moto").endpoint or "")
    yield it
    it.stop()


@pytest.fixture
def store_user(
    tmp_path: Path, service: Running, object_server: Callable[[str], ObjectServer]
) -> StoreUser:
    return StoreUser(tmp_path, service, object_server("moto"))


def test_all_artifacts_come_into_the_store_and_nothing_twice(
    store_user: StoreUser, service: Running
) -> None:
    done = store_user.run("sync", "acme/rocket", "--json")
    assert done.code == 0, done.err
    assert store_user.mirrored() == contents(service.simulator, "acme/rocket")
    there = store_user.objects()
    assert {"acme/rocket/latest.json", "acme/rocket/1/SHA256SUMS"} <= there.keys()
    assert store_user.run("sync", "acme/rocket", "--json").counts[1] == 0
    assert store_user.objects() == there
    assert store_user.run("verify").code == 0
    assert "acme/rocket" in store_user.run("status").out
    (first, *_) = store_user.run("path", "acme/rocket").out.splitlines()
    assert first.startswith(f"{store_user.url}/acme/rocket/")


def test_what_a_stranger_has_changed_is_found_displaced_and_fetched_again(
    store_user: StoreUser, service: Running, proxy: ObjectProxy
) -> None:
    assert store_user.run("sync", "acme/website").code == 0
    whole = store_user.mirrored()
    proxied = {"AWS_ENDPOINT_URL": proxy.endpoint}
    assert store_user.run("verify", "--quick", **proxied).code == 0
    assert {it.method for it in proxy.asked if it.path.endswith(tuple(whole))} == {"HEAD"}
    changed, *_ = whole
    store_user.server.write(store_user.prefix, changed, b"a stranger's")
    for how in ([], ["--quick"]):
        done = store_user.run("verify", *how, "--json")
        assert (done.code, done.answer["changed"]) == (5, [changed]), done.err
    done = store_user.run("verify", "--repair")
    assert done.code == 0, done.out + done.err
    assert store_user.mirrored() == whole == contents(service.simulator, "acme/website")
    (line,) = store_user.run("displaced", "list", "--json").answer["displaced"]
    assert (line["path"], line["size"]) == (changed, 12)
    assert store_user.run("du", "--json").answer["displaced_bytes"] == 12
    assert b"a stranger's" in store_user.objects().values()
    assert store_user.run("verify", "--quick").code == 0
    noted = time()
    wait_until(lambda: time() > noted + 1)  # a store tells whole seconds
    content = whole[changed]
    said = hashlib.sha256(content).hexdigest()  # a lie, of the right size
    store_user.server.write(store_user.prefix, changed, content[::-1], said)
    done = store_user.run("verify", "--quick", "--json")
    assert (done.code, done.answer["changed"]) == (5, [changed]), done.err


def test_files_are_found_copied_let_go_and_pruned(store_user: StoreUser, tmp_path: Path) -> None:
    assert store_user.run("sync", "acme/rocket").code == 0
    assert store_user.run("ls", "acme/rocket").code == 0
    assert store_user.run("du").code == 0
    out = tmp_path / "out"
    assert store_user.run("get", "acme/rocket@1", "--to", out).code == 0
    got = {it.relative_to(out).as_posix(): it.read_bytes() for it in out.rglob("*") if it.is_file()}
    run = "acme/rocket/1/"
    assert got == {
        path.removeprefix(run): content
        for path, content in store_user.mirrored().items()
        if path.startswith(run)
    }
    assert store_user.run("forget", "acme/rocket", "3", "--delete", "--yes").code == 0
    assert not [it for it in store_user.objects() if it.startswith("acme/rocket/3/")]
    keep = {"ARTIFACT_SYNC_KEEP__LAST": "1"}
    done = store_user.run("prune", "--yes", **keep)
    assert done.code == 0, done.err
    assert {it.split("/")[2] for it in store_user.mirrored()} == {"2"}
    assert store_user.run("verify").code == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"LEDGER__URL": ""}, "needs its ledger elsewhere"),
        ({"MIRROR__WATCH": "report"}, "no file system to be watched"),
        ({"MIRROR__DEDUPE": "reflink"}, "whose blocks files could share"),
        ({"MIRROR__MUST_BE_MOUNTED": "true"}, "to be mounted"),
        ({"MIRROR__ROOT": "s3://key:secret-not-for-anybodys-eyes@bucket/x"}, "do not belong in it"),
    ],
)
def test_what_makes_no_sense_there_is_said_before_anything_is_done(
    store_user: StoreUser, settings: dict[str, str], words: str
) -> None:
    environ = {f"ARTIFACT_SYNC_{name}": value for name, value in settings.items()}
    store_user.environ |= environ
    store_user.environ = {name: it for name, it in store_user.environ.items() if it}
    for command in (["config", "check"], ["sync", "acme/website"]):
        done = store_user.run(*command)
        assert (done.code, words in done.err) == (2, True), done.err
    assert not store_user.objects()


def test_what_needs_a_folder_says_so(store_user: StoreUser) -> None:
    assert store_user.run("sync", "acme/website").code == 0
    done = store_user.run("adopt")
    assert (done.code, "needs a mirror in a folder" in done.err) == (2, True), done.err


def test_stopped_or_killed_in_the_midst_of_an_upload_the_next_pass_ends_it_without_a_download(
    tmp_path: Path, object_server: Callable[[str], ObjectServer], proxy: ObjectProxy
) -> None:
    cube = Cube(artifacts=(ScenarioArtifact("small", text="a few bytes"), _LARGE))
    repo = Repo("acme/heavy", runs=(ScenarioRun("1", cubes=(cube,)),))
    scenario = Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=(repo,))
    with running_in_thread(scenario) as service:
        user = StoreUser(tmp_path, service, object_server("moto"))
        user.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
        proxy.harm = lambda asked: "stall" if "partNumber=2" in asked.path else None
        for number, code in ((signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)):
            proxy.done.clear()
            with user.started("sync", "acme/heavy") as process:
                wait_until(lambda: "stall" in [what for what, _ in proxy.done])
                begun = monotonic()
                assert user.finish(process, number).code == code
                assert monotonic() - begun < proxy.silence / 2
        there = user.objects()
        assert "acme/heavy/1/SHA256SUMS" not in there
        assert "large" not in {it.rpartition("/")[2] for it in there}
        proxy.harm = lambda _: None
        fetched = len([it for it in service.simulator.requests if it.kind == "file"])
        done = user.run("sync", "acme/heavy", "--json")
        assert done.code == 0, done.err
        assert user.mirrored() == contents(service.simulator)
        assert len([it for it in service.simulator.requests if it.kind == "file"]) == fetched
        assert user.run("verify").code == 0


_LARGE = ScenarioArtifact("large", size=20_000_000)


def test_a_store_that_refuses_to_write_or_is_away_is_told_and_nothing_is_lost(
    store_user: StoreUser, service: Running, proxy: ObjectProxy
) -> None:
    store_user.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
    assert store_user.run("sync", "acme/rocket", "--run", "1").code == 0
    words = "refuses these credentials (403 AccessDenied)"
    proxy.asked.clear()
    proxy.harm = lambda it: "403" if it.method == "DELETE" or "delete" in it.path else None
    assert store_user.run("sync", "acme/rocket", "--run", "1").code == 0  # who only adds
    assert [it.path[-5:] for it in proxy.asked if it.method == "PUT"] == ["probe"] * 2
    proxy.harm = lambda asked: "403" if asked.is_listing else None
    done = store_user.run("verify")
    assert (done.code, words in done.err) == (6, True), done.err
    fetched = service.simulator.requests["file"]
    proxy.harm = lambda asked: "403" if asked.method == "PUT" else None
    done = store_user.run("sync", "acme/rocket")
    assert (done.code, words in done.err) == (6, True), done.out
    assert service.simulator.requests["file"] == fetched
    proxy.harm = lambda it: "403" if it.method == "PUT" and "/acme/" in it.path else None
    done = store_user.run("sync", "acme/rocket")
    assert (done.code, words in done.out) == (6, True), done.err
    fetched = service.simulator.requests["file"]
    proxy.harm = lambda _: "400"
    proxy.stop()
    done = store_user.run("sync", "acme/rocket")
    assert (done.code, "does not answer as it should" in done.err) == (4, True), done.err
    for command in ("ls", "path"):  # the ledger alone is asked
        assert store_user.run(command, "acme/rocket").code == 0
    store_user.environ |= store_user.server.environ()
    assert store_user.run("sync", "acme/rocket").code == 0
    assert service.simulator.requests["file"] == fetched  # what had come was kept
    assert store_user.mirrored() == contents(service.simulator, "acme/rocket")
    assert store_user.run("verify").code == 0
    there = store_user.objects()
    (store_user.folder / "ledger.sqlite").unlink()
    done = store_user.run("sync", "acme/rocket")
    words = "there are files in this object store, and the ledger knows no run"
    assert (done.code, words in done.err) == (0, True), done.err
    assert store_user.objects().keys() == there.keys()  # nothing was displaced


# Guards against: a ledger that cannot be written, nor opened again, beside what is staged.
@pytest.mark.root
def test_a_full_staging_disk_is_told_and_leaves_room_for_the_ledger_there(
    store_user: StoreUser,
) -> None:
    cube = Cube(artifacts=(_LARGE, ScenarioArtifact("s{n}", size=1_000, count=4)))
    repos = (Repo("acme/heavy", runs=(ScenarioRun("1", cubes=(cube,)),)),)
    simulator = Simulator(Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=repos))
    small = tmpfs(store_user.folder / "disk", "size=8m")
    with small as disk, running_in_thread(simulator) as service:
        store_user.environ |= {
            "ARTIFACT_SYNC_LEDGER__URL": f"sqlite:///{disk / 'ledger.sqlite'}",
            "ARTIFACT_SYNC_SOURCE__BASE_URL": service.base_url,
        }
        for _ in range(2):
            done = store_user.run("sync", "acme/heavy", "--json")
            assert done.code == 6, done.err
            assert {it["local_path"] for it in done.answer["failures"]} >= {"large"}
            words = f"MiB are free in the file system of {disk}/ledger.sqlite.mirror/"
            assert all(words in it["message"] for it in done.answer["failures"])
        listed = store_user.run("ls", "acme/heavy", "--state", "failed", "--json").answer
        assert "large" in {it["local_path"] for it in listed["artifacts"]}
        remount(disk, "size=64m")
        assert store_user.run("sync", "acme/heavy").code == 0
        assert store_user.mirrored() == contents(simulator)


def test_an_old_listing_does_no_harm(
    store_user: StoreUser, service: Running, proxy: ObjectProxy
) -> None:
    store_user.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
    proxy.harm = lambda asked: "old" if asked.is_listing else None
    for _ in range(3):
        done = store_user.run("sync", "acme/rocket", "--json")
        assert done.code == 0, done.err
    assert store_user.mirrored() == contents(service.simulator, "acme/rocket")
    assert not [it for it in store_user.objects() if "displaced" in it]
    assert not proxy.unsummed


def test_a_store_is_tried_out_and_asked_for_its_rule(
    store_user: StoreUser, proxy: ObjectProxy
) -> None:
    done = store_user.run("config", "check", "--online")
    assert (done.code, "the bucket has no rule that removes the parts" in done.err) == (0, True)
    assert not store_user.objects()
    store_user.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
    proxy.harm = lambda asked: "rule" if "lifecycle" in asked.path else None
    done = store_user.run("config", "check", "--online")
    assert (done.code, "abandoned uploads" in done.err) == (0, False), done.err
    proxy.harm = lambda asked: "403" if asked.method == "PUT" else None
    done = store_user.run("config", "check", "--online")
    assert (done.code, "credentials (403 AccessDenied)" in done.err) == (6, True), done.err


def test_a_store_that_ignores_conditions_is_told_once_and_used(
    tmp_path: Path, service: Running, object_server: Callable[[str], ObjectServer]
) -> None:
    user = StoreUser(tmp_path, service, object_server("rclone"))
    done = user.run("sync", "acme/rocket")
    assert (done.code, done.err.count("this object store ignores conditions")) == (0, 1), done.err
    assert user.mirrored() == contents(service.simulator, "acme/rocket")
    assert user.run("verify", "--quick").code == 0


def test_with_a_ledger_in_postgresql_what_is_staged_lies_where_it_is_said(
    store_user: StoreUser, service: Running, postgres: Postgres, tmp_path: Path
) -> None:
    store_user.environ |= {
        "ARTIFACT_SYNC_LEDGER__URL": postgres.schema(),
        "ARTIFACT_SYNC_MIRROR__STAGING": str(tmp_path / "staged"),
    }
    assert store_user.run("sync", "acme/website").code == 0
    assert store_user.mirrored() == contents(service.simulator, "acme/website")
    assert (tmp_path / "staged" / ".artifact-sync" / "staging").is_dir()
    assert store_user.run("verify").code == 0


@pytest.mark.servers
def test_a_worker_waits_for_its_store_and_throws_no_download_away(
    tmp_path: Path,
    postgres: Postgres,
    object_server: Callable[[str], ObjectServer],
    proxy: ObjectProxy,
) -> None:
    simulator, server = Simulator(organisation()), object_server("moto")
    prefix = f"users/{uuid4().hex}"
    with running_in_thread(simulator) as running:
        user = DaemonUser(tmp_path, running)
        user.environ |= {**server.environ(), "AWS_ENDPOINT_URL": proxy.endpoint}
        user.configure(
            "acme/*",
            ledger__url=postgres.schema(),
            web__listen=None,
            mirror__root=server.url(prefix),
            mirror__staging=str(tmp_path / "staged"),
        )
        proxy.harm = lambda it: "403" if it.method == "PUT" and "/acme/" in it.path else None
        with user.daemon("--name", "one", command="worker") as worker:
            wanted = contents(simulator)
            worker.wait_for(lambda: simulator.requests["file"] >= len(wanted))
            proxy.harm = lambda _: "500"
            away = worker.wait_for_line("the mirror cannot be used; nothing is done until it can")
            assert "does not answer as it should (500 InternalError)" in away["why"]
            proxy.harm = lambda _: None
            worker.wait_for(lambda: artifacts_of(server.objects(prefix)) == wanted)
            assert worker.end() == 0
        assert simulator.requests["file"] == len(wanted)
