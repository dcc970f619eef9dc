"""What every ``ArtifactStore`` keeps, and every further ability of a mirror, marked by ``needs``.

A new adapter is one more row of ``ADAPTERS``. Only the ports are used, and a staging folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from memory_store import MemoryStore
from object_stores import SERVERS, ObjectServer, on_its_server
from publishing import publish_bytes, publish_content

from artifact_sync.domain.errors import DiskError, MirrorGone, Reason, UnsafePath
from artifact_sync.domain.model import MirrorPath, Placed, SameFile, StagedContent
from artifact_sync.domain.ports import Displacement, FreeSpace, LatestPointer, OwnWrites
from artifact_sync.mirror.local.folder import Folder, PathFolder
from artifact_sync.mirror.local.local_mirror import LocalMirror

if TYPE_CHECKING:
    from artifact_sync.domain.ports import ArtifactStore

PATH = MirrorPath("acme/shop/42/build/compile/linux/app.tar")


@dataclass(frozen=True)
class Bench:
    mirror: Any
    staging: Path

    def publish(self, content: bytes, path: str = PATH) -> str | None:
        staged = self.stage(content)
        moved = publish_content(self.mirror, of_file(staged, content), MirrorPath(path))
        assert not staged.exists()
        return moved

    def stage(self, content: bytes) -> Path:
        staged = self.staging / f"{sha256(content)}.part"
        staged.write_bytes(content)
        return staged

    def content(self, path: str) -> bytes | None:
        return self.mirror.read(MirrorPath(path))

    @property
    def root(self) -> Path:
        return self.mirror.root


class Folders:
    """Ability: a path leads through folders, which a file may be in the way of."""


class Root:
    """Ability: the mirror stands at a root, which somebody may take away."""


LOCAL = {Displacement, LatestPointer, FreeSpace, OwnWrites, Folders, Root}
OBJECTS = {Displacement, LatestPointer}


def _disk(root: Path, **options) -> Bench:
    mirror = LocalMirror(root, **options)
    return Bench(mirror, mirror.staging)


class Divided(Folder):
    """A folder between which and any other one lies a mount."""

    def take(self, name, source, source_name, *, fresh):
        if not os.path.samestat(self.itself(), source.itself()):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().take(name, source, source_name, fresh=fresh)


def _memory(root: Path) -> Bench:
    root.mkdir()
    store: ArtifactStore = MemoryStore()
    return Bench(store, root)


def _objects(server: ObjectServer, root: Path) -> Bench:
    root.mkdir()
    return Bench(server.mirror(f"mirrors/{uuid4().hex}"), root)


ADAPTERS = {
    "disk": (partial(_disk, opener=Folder.at), LOCAL),
    "disk-fast": (partial(_disk, opener=Folder.at, durability="fast"), LOCAL),
    "disk-by-path": (partial(_disk, opener=PathFolder.at), LOCAL),
    "disk-divided": (partial(_disk, opener=Divided.at), LOCAL),
    "memory": (_memory, set()),
    **{f"objects-{name}": (_objects, OBJECTS) for name in SERVERS},
}
"""Every kind of store, and what it can do besides."""


def _param(name):
    kind = name.removeprefix("objects-")
    return on_its_server(kind) if kind != name else name


@pytest.fixture(params=[*map(_param, ADAPTERS)])
def bench(request, tmp_path, object_server):
    make, _ = ADAPTERS[request.param]
    _, _, kind = request.param.partition("objects-")
    return (partial(make, object_server(kind)) if kind else make)(tmp_path / "mirror")


def needs(*abilities):
    """The test is one of these abilities, for the adapters that have them."""
    able = [_param(name) for name, (_, its) in ADAPTERS.items() if its.issuperset(abilities)]
    return pytest.mark.parametrize("bench", able, indirect=True)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def of_file(path: Path, content: bytes) -> StagedContent:
    return StagedContent(len(content), sha256(content), path)


def test_a_published_file_is_found_with_its_bytes(bench):
    assert bench.publish(b"hello") is None
    found = bench.mirror.find(PATH)
    assert (found.kind, found.size) == ("file", 5)
    assert bench.mirror.digest(PATH) == (5, sha256(b"hello"))


def test_a_small_file_is_published_from_memory(bench):
    assert publish_bytes(bench.mirror, b"small", PATH) is None
    assert bench.content(PATH) == b"small"


def test_a_digest_may_be_broken_off(bench):
    bench.publish(bytes(3 << 20))
    assert bench.mirror.digest(PATH, iter([False, False, True]).__next__) is None
    assert bench.mirror.digest(PATH, lambda: False) == (3 << 20, sha256(bytes(3 << 20)))


def test_an_empty_file_is_a_file(bench):
    publish_bytes(bench.mirror, b"", PATH)
    assert bench.mirror.digest(PATH) == (0, sha256(b""))


def test_nothing_is_there_before(bench):
    mirror = bench.mirror
    assert mirror.find(PATH) is None
    assert mirror.digest(PATH) is None
    assert mirror.read(PATH) is None
    assert list(mirror.files(MirrorPath("acme"))) == []
    mirror.remove([PATH])


@needs(Folders)
def test_a_folder_is_found_as_one_and_has_no_digest(bench):
    bench.publish(b"x")
    folder = MirrorPath("acme/shop/42")
    assert bench.mirror.find(folder).kind == "folder"
    assert bench.mirror.digest(folder) is None
    assert bench.mirror.read(folder) is None


@needs(Folders)
def test_a_path_through_a_file_is_none(bench):
    bench.publish(b"x", "a/file")
    below = MirrorPath("a/file/below")
    assert bench.mirror.find(below) is None
    assert bench.mirror.digest(below) is None
    assert list(bench.mirror.files(MirrorPath("a/file"))) == []


def test_the_sizes_at_many_places_are_those_of_each(bench):
    there = [f"acme/shop/{run}/{cube}/a.bin" for run in (7, 8, 10) for cube in ("x", "x y", "x/z")]
    for number, path in enumerate(there):
        bench.publish(b"." * number, path)
    absent = ["acme/shop/7/x/b.bin", "acme/shop/9/x/a.bin", "acme/shop/7/x/a.bin/below", "other"]
    paths = [MirrorPath(path) for path in [*reversed(there), *absent, "acme/shop/8/x"]]
    sizes = {path: number for number, path in enumerate(there)}
    assert bench.mirror.sizes(paths) == sizes
    found = {path: it for path in paths if (it := bench.mirror.find(path)) is not None}
    assert {path: it.size for path, it in found.items() if it.kind == "file"} == sizes
    assert bench.mirror.sizes([]) == {}


@needs(Folders)
def test_no_link_is_followed_when_many_places_are_looked_at(bench):
    bench.publish(b"hello", "acme/shop/7/x/a.bin")
    root = bench.root
    (root / "acme/shop/8").symlink_to("7", target_is_directory=True)
    (root / "acme/shop/7/x/b.bin").symlink_to("a.bin")
    names = ["acme/shop/7/x/a.bin", "acme/shop/7/x/b.bin", "acme/shop/8/x/a.bin", "acme/shop/8"]
    assert bench.mirror.sizes([MirrorPath(name) for name in names]) == {names[0]: 5}


@pytest.mark.parametrize(
    "path", ["../x", "a//b", "a/..", "a/.", "", ".artifact-sync/lock", "a/x\0"]
)
def test_no_place_is_looked_at_that_no_layout_makes(bench, path):
    with pytest.raises(UnsafePath):
        bench.mirror.sizes([MirrorPath("a/b"), MirrorPath(path)])


def open_below(root):
    """What this process has open of a mirror, where the system tells; other tests have more."""
    opened = []
    for descriptor in Path("/proc/self/fd").glob("*"):
        with suppress(FileNotFoundError):  # of the look itself
            opened.append(str(descriptor.readlink()))
    return sorted(it for it in opened if it == str(root) or it.startswith(f"{root}/"))


@needs(Folders)
def test_looking_at_many_places_leaves_nothing_open(bench):
    for run in range(40):
        bench.publish(b"hello", f"acme/shop/{run}/x/y/a.bin")
    before = open_below(bench.mirror.root)
    paths = [MirrorPath(f"acme/shop/{run}/x/y/{name}.bin") for run in range(60) for name in "ab"]
    paths.append(MirrorPath("acme/shop/3/x/y/a.bin/z"))
    assert len(bench.mirror.sizes(paths)) == 40
    assert open_below(bench.mirror.root) == before


def test_the_same_content_again_displaces_nothing(bench):
    bench.publish(b"same")
    assert bench.publish(b"same") is None
    assert publish_bytes(bench.mirror, b"same", PATH) is None
    assert bench.content(PATH) == b"same"


@pytest.mark.parametrize("old", [b"a stranger's", b"mine"])
def test_other_content_in_the_way_is_displaced_even_of_the_same_size(bench, old):
    bench.publish(old)
    place = bench.publish(b"MINE")
    assert bench.content(PATH) == b"MINE"
    assert place.startswith(".artifact-sync/displaced/")
    assert place.endswith(f"Z/{PATH}")


@needs(Folders)
def test_a_file_where_a_folder_must_be_is_displaced(bench):
    bench.publish(b"in the way", "acme/shop/42")
    place = bench.publish(b"hello")
    assert place.endswith("Z/acme/shop/42")
    assert bench.content(PATH) == b"hello"


@needs(Folders)
def test_a_folder_where_a_file_must_be_is_displaced_with_all_in_it(bench):
    bench.publish(b"below", f"{PATH}/below")
    place = bench.publish(b"hello")
    assert place.endswith(f"Z/{PATH}")
    assert bench.content(PATH) == b"hello"


@needs(Displacement)
def test_nothing_is_displaced_where_nothing_is(bench):
    assert bench.mirror.displace(PATH) is None
    bench.publish(b"x", "a/file")
    assert bench.mirror.displace(MirrorPath("a/file/below")) is None


@needs(Displacement)
def test_displacing_moves_away_and_never_over_another(bench):
    places = set()
    for content in (b"1", b"2", b"3"):
        bench.publish(content)
        places.add(bench.mirror.displace(PATH))
        assert bench.mirror.find(PATH) is None
    assert len(places) == 3
    assert None not in places


@needs(Displacement)
def test_what_was_displaced_is_listed_the_oldest_first_with_its_path_and_size(bench):
    for path in ("a/file", "b/file"):
        bench.publish(b"12345", path)
        bench.mirror.displace(MirrorPath(path))
    files = list(bench.mirror.displaced())
    assert sorted((it.path, it.size) for it in files) == [("a/file", 5), ("b/file", 5)]
    assert all((datetime.now(UTC) - it.at).total_seconds() < 60 for it in files)
    first = files[0]
    assert list(bench.mirror.displaced(first.place)) == [first]
    stamp = first.place.partition("/")[0]
    assert first in bench.mirror.displaced(stamp)
    for nowhere in ("nowhere", "..", "../displaced", f"{stamp}//a", f"{stamp}/a/../b/file"):
        assert not list(bench.mirror.displaced(nowhere))


@needs(Displacement, Folders)
def test_a_folder_that_was_displaced_is_listed_and_put_back_file_by_file(bench):
    bench.publish(b"1", "run/a/one")
    bench.publish(b"2", "run/b/two")
    bench.mirror.displace(MirrorPath("run"))
    for file in list(bench.mirror.displaced()):
        assert bench.mirror.put_back(file)
    assert (bench.content("run/a/one"), bench.content("run/b/two")) == (b"1", b"2")
    assert not list((bench.root / ".artifact-sync/displaced").iterdir())


@needs(Displacement)
@pytest.mark.parametrize("taken", [PATH, str(MirrorPath(PATH).rpartition("/")[0]), "acme"])
def test_what_is_put_back_replaces_nothing(bench, taken):
    bench.publish(b"old")
    bench.mirror.displace(PATH)
    bench.mirror.displace(MirrorPath("acme"))  # the folders that are left
    bench.publish(b"new", taken)
    (old,) = [it for it in bench.mirror.displaced() if it.path == PATH]
    assert not bench.mirror.put_back(old)
    assert bench.content(taken) == b"new"
    assert old in bench.mirror.displaced()


@needs(Displacement, Root)
def test_what_is_discarded_is_gone_with_its_folders_and_nothing_else_is(bench):
    for content in (b"1", b"2"):
        bench.publish(content)
        bench.mirror.displace(PATH)
    stranger = bench.root / ".artifact-sync/displaced/notes/of mine"
    stranger.parent.mkdir()
    stranger.write_bytes(b"!")
    one, two = bench.mirror.displaced()
    bench.mirror.discard([one])
    bench.mirror.discard([one])  # once more, as after a crash
    assert list(bench.mirror.displaced()) == [two]
    bench.mirror.discard([two])
    assert [it.name for it in (bench.root / ".artifact-sync/displaced").iterdir()] == ["notes"]
    assert stranger.read_bytes() == b"!"


@needs(Displacement, Root)
def test_what_cannot_be_discarded_holds_back_no_other(bench):
    for path in ("a/one", "b/two", "c/three"):
        bench.publish(b"1", path)
        bench.mirror.displace(MirrorPath(path))
    files = list(bench.mirror.displaced())
    stuck = bench.root / ".artifact-sync/displaced" / files[1].place
    stuck.unlink()
    stuck.mkdir()  # no file any more, as where the system refuses it
    (stuck / "in it").touch()
    staying = bench.mirror.discard(files)
    assert list(staying) == [files[1]]
    assert staying[files[1]].reason is Reason.DISK
    assert [it.path for it in bench.mirror.displaced()] == ["b/two/in it"]


def test_publishing_again_after_a_crash_that_came_after_it_is_fine(bench):
    bench.publish(b"hello")
    gone = bench.staging / "gone.part"
    assert publish_content(bench.mirror, of_file(gone, b"hello"), PATH) is None


def test_a_manifest_is_replaced_and_nothing_displaced(bench):
    path = MirrorPath("acme/shop/42/run.json")
    bench.mirror.replace(b"one", path)
    bench.mirror.replace(b"two", path)
    assert bench.mirror.read(path) == b"two"
    assert list(bench.mirror.files(MirrorPath("acme"))) == [path]


def test_a_manifest_is_removed_and_may_be_removed_again(bench):
    path = MirrorPath("acme/shop/42/run.json")
    bench.mirror.replace(b"one", path)
    bench.mirror.remove([path])
    bench.mirror.remove([path])
    assert bench.mirror.find(path) is None


def test_files_are_listed_by_path_without_folders_and_without_ours(bench):
    for path in ("b/x", "a/y/z", "a.txt", "a/b"):
        bench.publish(path.encode(), path)
    assert list(bench.mirror.files(MirrorPath(""))) == ["a.txt", "a/b", "a/y/z", "b/x"]
    assert list(bench.mirror.files(MirrorPath("a"))) == ["a/b", "a/y/z"]


def test_a_listing_leaves_out_what_is_to_be_skipped_with_all_below_it(bench):
    for path in ("r/1/x", "r/10/y", "r/latest", "r/2/a/b", "r/2/c"):
        bench.publish(path.encode(), path)
    skip = {MirrorPath("r/1"), MirrorPath("r/latest"), MirrorPath("r/2/a")}
    assert list(bench.mirror.files(MirrorPath("r"), skip=skip)) == ["r/10/y", "r/2/c"]


def test_a_listing_may_be_abandoned(bench):
    bench.publish(b"1", "a/1")
    bench.publish(b"2", "a/2")
    listing = bench.mirror.files(MirrorPath("a"))
    assert next(listing) == "a/1"
    listing.close()


@needs(LatestPointer)
def test_latest_is_pointed_at_a_folder_and_moved(bench):
    bench.publish(b"41", "o/r/41/f")
    bench.publish(b"42", "o/r/42/f")
    link = MirrorPath("o/r/latest")
    for run in ("41", "41", "42"):
        bench.mirror.point(link, MirrorPath(f"o/r/{run}"))
    assert bench.mirror.find(link).kind == "other"
    assert "o/r/latest" in list(bench.mirror.files(MirrorPath("o/r")))
    assert bench.mirror.find(MirrorPath("o/r/latest/f")) is None


@needs(LatestPointer)
def test_something_that_is_no_link_in_the_place_of_latest_is_displaced(bench):
    bench.publish(b"42", "o/r/42/f")
    bench.publish(b"somebody's", "o/r/latest")
    bench.mirror.point(MirrorPath("o/r/latest"), MirrorPath("o/r/42"))
    assert bench.mirror.find(MirrorPath("o/r/latest")).kind == "other"


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", "a/./b", "", ".artifact-sync/lock"])
def test_a_path_that_no_layout_makes_is_refused(bench, path):
    with pytest.raises(UnsafePath):
        publish_bytes(bench.mirror, b"x", MirrorPath(path))
    with pytest.raises(UnsafePath):
        bench.mirror.find(MirrorPath(path))


def test_many_threads_publish_into_the_same_new_folders(bench):
    paths = [f"o/r/{number % 3}/w/f{number}" for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        moved = list(pool.map(lambda path: bench.publish(path.encode(), path), paths))
    assert list(bench.mirror.files(MirrorPath("o"))) == sorted(paths)
    assert moved == [None] * 60


@needs(Folders)
def test_of_many_threads_one_displaces_what_is_in_their_way(bench):
    bench.publish(b"in the way", "o/r/1")
    paths = [f"o/r/1/w/f{number}" for number in range(30)]
    with ThreadPoolExecutor(8) as pool:
        moved = list(pool.map(lambda path: bench.publish(path.encode(), path), paths))
    assert list(bench.mirror.files(MirrorPath("o"))) == sorted(paths)
    assert len([place for place in moved if place]) == 1


@needs(FreeSpace)
def test_free_space_is_a_number_of_bytes(bench):
    assert bench.mirror.free() > 0


def test_found_says_when_it_changed(bench):
    before = time.time()
    bench.publish(b"hello")
    found = bench.mirror.find(PATH)
    assert (found.kind, found.size) == ("file", 5)
    assert before - 2 <= found.changed <= time.time() + 2


EVERY_VERB = {
    "check": lambda bench: bench.mirror.check(),
    "find": lambda bench: bench.mirror.find(PATH),
    "sizes": lambda bench: bench.mirror.sizes([PATH]),
    "publish": lambda bench: publish_bytes(bench.mirror, b"x", PATH),
    "publish_file": lambda bench: publish_content(
        bench.mirror, of_file(bench.staging / "x.part", b"x"), PATH
    ),
    "replace": lambda bench: bench.mirror.replace(b"x", PATH),
    "read": lambda bench: bench.mirror.read(PATH),
    "remove": lambda bench: bench.mirror.remove([PATH]),
    "remove_run": lambda bench: bench.mirror.remove([PATH], MirrorPath("acme/shop/42")),
    "displace": lambda bench: bench.mirror.displace(PATH),
    "digest": lambda bench: bench.mirror.digest(PATH),
    "files": lambda bench: list(bench.mirror.files(MirrorPath(""))),
    "point": lambda bench: bench.mirror.point(MirrorPath("o/r/latest"), MirrorPath("o/r/1")),
    "unpoint": lambda bench: bench.mirror.unpoint(MirrorPath("o/r/latest")),
    "free": lambda bench: bench.mirror.free(),
    "wrote": lambda bench: bench.mirror.wrote(PATH),
}


@needs(Root)
@pytest.mark.parametrize("verb", EVERY_VERB.values(), ids=EVERY_VERB.keys())
def test_a_mirror_whose_root_is_gone_says_so_and_makes_nothing_until_it_is_back(bench, verb):
    bench.publish(b"hello")
    root = bench.root
    root.rename(root.with_name("away"))
    with pytest.raises(MirrorGone, match="mount it again"):
        verb(bench)
    assert not root.exists()
    root.mkdir()
    with pytest.raises(MirrorGone):
        verb(bench)
    assert list(root.iterdir()) == []
    root.rmdir()
    root.with_name("away").rename(root)
    bench.mirror.check()
    assert bench.content(PATH) == b"hello"


@needs(Root)
def test_a_mirror_without_our_own_folder_is_not_the_one_that_was_opened(bench):
    bench.mirror.check()
    own = bench.staging.parent
    own.rename(own.with_name("elsewhere"))
    with pytest.raises(MirrorGone):
        bench.mirror.check()
    own.mkdir()
    with pytest.raises(MirrorGone):
        bench.mirror.check()


def test_a_root_behind_a_symbolic_link_is_what_the_link_leads_to(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    bench = _disk(tmp_path / "link")
    bench.publish(b"hello")
    bench.mirror.check()
    (tmp_path / "link").unlink()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("other")
    with pytest.raises(MirrorGone):
        bench.mirror.find(PATH)
    assert list((tmp_path / "other").iterdir()) == []


@needs(OwnWrites, Displacement)
def test_it_knows_what_it_has_put_there_or_taken_away_and_nothing_else(bench):
    mirror, manifest = bench.mirror, MirrorPath("acme/shop/42/run.json")
    assert not mirror.wrote(PATH)
    bench.publish(b"one")
    mirror.replace(b"two", manifest)
    assert [mirror.wrote(PATH), mirror.wrote(manifest)] == [True, True]
    mirror.displace(PATH)
    mirror.remove([manifest])
    assert [mirror.wrote(PATH), mirror.wrote(manifest)] == [True, True]
    publish_bytes(mirror, b"three", PATH)
    assert mirror.wrote(PATH)
    assert not mirror.wrote("acme/shop/42")
    assert not mirror.wrote("../x")


@needs(OwnWrites, Root)
@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b"ELLO!"),
        os.utime,
        lambda file: file.chmod(0o640),
        lambda file: file.rename(file.with_name("moved")),
    ],
    ids=["deleted", "changed", "touched", "chmod", "moved"],
)
def test_what_somebody_has_had_in_hand_since_is_not_its_own_work(bench, harm):
    bench.publish(b"hello")
    time.sleep(0.02)  # a file system's clock ticks every few milliseconds
    harm(bench.root / PATH)
    assert not bench.mirror.wrote(PATH)


def test_a_staged_file_that_somebody_has_changed_is_not_published(bench):
    staged = bench.stage(b"hello")
    content = of_file(staged, b"hello")
    staged.write_bytes(b"hello!")
    with pytest.raises(DiskError, match="changed by somebody else"):
        publish_content(bench.mirror, content, PATH)
    assert bench.mirror.find(PATH) is None
    assert staged.read_bytes() == b"hello!"


def test_files_and_bytes_are_published_together_each_with_its_own_outcome(bench):
    files = [
        (of_file(bench.stage(b"one"), b"one"), MirrorPath("a/1")),
        (StagedContent(3, sha256(b"two"), b"two"), MirrorPath("../2")),
        (of_file(bench.staging / "absent", b"3"), MirrorPath("a/3")),
        (StagedContent(4, sha256(b"four"), b"four"), MirrorPath("a/4")),
    ]
    one, two, three, four = bench.mirror.publish(files)
    assert (one, four) == (Placed(), Placed())
    assert isinstance(two, UnsafePath)
    assert isinstance(three, DiskError)
    assert list(bench.mirror.files(MirrorPath(""))) == ["a/1", "a/4"]
    assert list(bench.staging.iterdir()) == []


def test_files_of_the_same_bytes_may_be_named_and_nothing_depends_on_it(bench):
    bench.publish(b"hello", "a/1")
    same = [SameFile(7, MirrorPath("a/1"), 5), SameFile(8, MirrorPath("gone"), 5)]
    bench.mirror.publish(
        [
            (StagedContent(5, sha256(b"hello"), b"hello", same=same), MirrorPath("a/2")),
            (StagedContent(5, sha256(b"other"), b"other", same=same), MirrorPath("a/3")),
        ]
    )
    assert [bench.content(f"a/{it}") for it in "123"] == [b"hello", b"hello", b"other"]
    nothing = StagedContent(5, sha256(b"none!"), None, same=same)
    assert list(bench.mirror.publish([(nothing, MirrorPath("a/4"))])) == [None]
    assert bench.content("a/4") is None


RUN = MirrorPath("acme/shop/42")


def test_removed_files_are_gone_and_others_stay(bench):
    there = [MirrorPath(f"{RUN}/{name}") for name in ("w/t/a", "w/t/b", "w/u/c", "d")]
    for path in there:
        bench.publish(path.encode(), path)
    bench.mirror.remove([there[0], there[3]], RUN)
    bench.mirror.remove([there[0], MirrorPath(f"{RUN}/never/there")], RUN)
    assert list(bench.mirror.files(RUN)) == there[1:3]
    assert bench.mirror.find(there[0]) is None


def test_only_what_lies_in_the_folder_is_removed_with_it(bench):
    bench.publish(b"1", "acme/shop/4/x")
    for path in ("acme/shop/4/x", "acme/shop/421/x", RUN):
        with pytest.raises(UnsafePath):
            bench.mirror.remove([MirrorPath(f"{RUN}/x"), MirrorPath(path)], RUN)
    assert list(bench.mirror.files(MirrorPath(""))) == ["acme/shop/4/x"]


@needs(Folders)
def test_the_folders_of_removed_files_go_when_they_are_empty_up_to_the_runs(bench):
    kept = MirrorPath("acme/shop/42/w/t/b")
    paths = [MirrorPath(path) for path in (f"{RUN}/w/t/a", kept, f"{RUN}/w/u/c", f"{RUN}/d")]
    for path in paths:
        bench.publish(b"x", path)
    bench.mirror.remove([paths[0], *paths[2:]], RUN)
    assert sorted(path.name for path in (bench.root / RUN).rglob("*")) == ["b", "t", "w"]
    bench.mirror.remove([kept], RUN)
    assert list((bench.root / "acme" / "shop").iterdir()) == []
    bench.mirror.remove(paths, RUN)


@needs(Folders)
def test_what_was_half_removed_is_removed_by_the_same_call_again(bench):
    paths = [MirrorPath(f"{RUN}/{name}") for name in ("w/t/a", "w/u/b")]
    for path in paths:
        bench.publish(b"x", path)
    (bench.root / paths[0]).unlink()
    (bench.root / paths[0]).parent.rmdir()
    bench.mirror.remove(paths, RUN)
    assert bench.mirror.find(RUN) is None
    assert bench.mirror.find(MirrorPath("acme/shop")).kind == "folder"


@needs(Folders)
def test_without_a_folder_only_the_file_is_removed(bench):
    bench.publish(b"x")
    bench.mirror.remove([PATH])
    assert bench.mirror.find(MirrorPath(PATH.rpartition("/")[0])).kind == "folder"
