"""The packages: made, looked into, installed, used, and taken away again.

Libraries are fetched once for all of them, so that the rest needs no network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from boxed_systemd import REPOSITORY, Box, workshop
from packaging.metadata import Metadata
from user import TOKEN, User, wait_until

from artifact_sync.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.simulator import Running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("packages"),
    pytest.mark.skipif(sys.platform != "linux", reason="packages are made on Linux"),
    pytest.mark.timeout(300),
]

DEBIANS = Path("/usr/bin/python3")
NOBODY = 54_321
"""A uid without an account."""
CONFIG = "/etc/artifact-sync/config.toml"
MIRROR = "/var/lib/artifact-sync"
AUTHORITY = "/etc/artifact-sync/authority.pem"
ENABLED = "/etc/systemd/system/multi-user.target.wants/artifact-sync.service"
SLOWER = "downloads go by httpx, which is slower"


def made(*command: object, cwd: Path = REPOSITORY, **environ: str) -> str:
    """What a script of ours printed that had to succeed."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Packages:
    """What was made, and where the libraries lie that it needs."""

    folder: Path
    sdist: Path
    wheel: Path
    libraries: dict[str, str]
    """An environment in which pip finds them, and nothing else."""

    def installed(self, place: Path, command: str) -> Path:
        """Where a command that makes an environment in ``/opt/artifact-sync`` made it."""
        elsewhere = command.replace("/opt/artifact-sync", str(place))
        python = {"PYTHON": str(DEBIANS), "INSTALLER": sys.executable}
        made("bash", "-euc", elsewhere, cwd=place.parent, **self.libraries, **python)
        return place


@pytest.fixture(scope="module")
def packages() -> Iterator[Packages]:
    """Source package and wheel, in a folder that every user may look into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        if not DEBIANS.exists():
            pytest.skip(f"{DEBIANS} is missing")
        made("packaging/make-dist", sys.executable, folder / "dist")
        (wheel,) = (folder / "dist").glob("*.whl")
        (sdist,) = (folder / "dist").glob("*.tar.gz")
        yield Packages(folder, sdist, wheel, _libraries(folder, wheel))
    finally:
        shutil.rmtree(folder)


def _libraries(folder: Path, wheel: Path) -> dict[str, str]:
    place, python = folder / "libraries", folder / "python"
    made(DEBIANS, "-m", "venv", "--without-pip", python)
    pip = (sys.executable, "-m", "pip", "--python", python / "bin" / "python")
    wanted = ("--constraint", "constraints.txt", f"{wheel}[fast,web,postgres,s3,fleet]")
    made(*pip, "download", "--quiet", "--dest", place, *wanted)
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(place), "PIP_NO_CACHE_DIR": "1"}


@pytest.fixture(scope="module")
def deb(packages: Packages) -> Path:
    """The package for Debian, not compressed."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is Debian's")
    quickly = {"DPKG_DEB_COMPRESSOR_TYPE": "none", "INSTALLER": sys.executable}
    script = ("packaging/make-deb", packages.wheel, packages.folder)
    return Path(made(*script, **packages.libraries, **quickly).strip())


@pytest.fixture(scope="module")
def everything(deb: Path, packages: Packages) -> Path:
    """The package for Debian, unpacked: an environment with all extras."""
    made("dpkg-deb", "--extract", deb, packages.folder / "unpacked")
    return packages.folder / "unpacked" / "opt" / "artifact-sync"


@pytest.fixture(scope="module")
def image(packages: Packages) -> Image:
    """What the steps of the Containerfile leave, without extras."""
    return Image(packages)


def smoke(user: User, python: Path) -> str:
    """First steps with another program than the checkout's; what the pass said."""
    user.launcher = (str(python), "-m", "artifact_sync")
    assert user.run("--version").out.strip().endswith(VERSION)
    done = user.sync("acme/rocket")
    assert done.code == 0, done.err
    assert user.files()
    verified = user.run("verify", "--root", user.root)
    assert (verified.code, "0 missing, 0 changed" in verified.out) == (0, True)
    assert "acme/rocket" in user.run("status", "--root", user.root).out
    return done.err


def test_the_wheel_works_without_extras(user: User, image: Image) -> None:
    assert SLOWER in smoke(user, image.place / "bin" / "python")


def test_the_wheel_works_with_all_extras(user: User, everything: Path) -> None:
    assert SLOWER not in smoke(user, everything / "bin" / "python")
    made(everything / "bin" / "python", "-c", "import psycopg, starlette, uvicorn, uvloop")


def test_the_deb_has_the_manual_pages(everything: Path) -> None:
    pages = everything.parents[1] / "usr" / "share" / "man"
    ours = (REPOSITORY / "docs" / "man").glob("*.[1-9]")
    assert {f"{page.name}.gz" for page in ours} == {page.name for page in pages.glob("man?/*")}


def test_its_metadata_are_complete(packages: Packages) -> None:
    with zipfile.ZipFile(packages.wheel) as wheel:
        place = f"artifact_sync-{VERSION}.dist-info"
        about = Metadata.from_email(wheel.read(f"{place}/METADATA"))
        assert f"{place}/licenses/LICENSE" in wheel.namelist()
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert (about.name, str(about.version)) == ("artifact-sync", VERSION)
    assert (about.license_expression, about.license_files) == ("MIT", ["LICENSE"])
    assert (about.description_content_type, about.description) == ("text/markdown", readme)
    assert {"fast", "postgres", "web"} <= set(about.provides_extra or ())
    assert all(url.startswith("https://") for url in (about.project_urls or {}).values())
    kinds = {one.split(" :: ")[0] for one in about.classifiers or ()}
    assert kinds >= {"Development Status", "Framework", "Operating System", "Programming Language"}


def test_the_wheel_has_the_program_and_nothing_else(packages: Packages) -> None:
    ours = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "artifact_sync").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(packages.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {name for name in ours if not name.endswith(".md")}


def test_the_source_package_has_all_that_git_knows(packages: Packages) -> None:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("this is no checkout")
    known = made("git", "ls-files", "-z").split("\0")
    wanted = {name for name in known if name and not re.search(r"(^|/)\.", name)}
    with tarfile.open(packages.sdist) as sdist:
        names = {one.name.partition("/")[2] for one in sdist if one.isfile()}
    made_for_it = {"PKG-INFO", "setup.cfg"}
    found = {one for one in names if not one.startswith("artifact_sync.egg-info/")}
    assert found - made_for_it == wanted


def test_from_the_source_package_everybody_makes_the_same_packages(packages: Packages) -> None:
    again = packages.folder / "again"
    with tarfile.open(packages.sdist) as sdist:
        sdist.extractall(again, filter="data")
    (top,) = again.iterdir()
    made("bash", "-c", f"umask 077 && packaging/make-dist {sys.executable} ../out", cwd=top)
    for one in (packages.sdist, packages.wheel):
        assert _digest(again / "out" / one.name) == _digest(one)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Image:
    """The Containerfile, read, and its installing steps carried out in another place."""

    def __init__(self, packages: Packages) -> None:
        text = (REPOSITORY / "packaging" / "Containerfile").read_text("utf-8")
        steps = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
        self.steps = [tuple(step.split(maxsplit=1)) for step in steps if step.strip()]
        context = packages.folder / "context"
        for source, target in self._copied():
            for found in sorted(
                (packages.folder if "dist/" in source else REPOSITORY).glob(source)
            ):
                into = context / target / found.name if target == "./" else context / target
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, into)
        (install, _mirror) = self.all("RUN")
        self.place = packages.installed(context / "installed", f"export EXTRAS=; {install}")

    def _copied(self) -> list[tuple[str, str]]:
        plain = [it.split() for it in self.all("COPY") if not it.startswith("--from")]
        return [(source, target) for *sources, target in plain for source in sources]

    def all(self, name: str) -> list[str]:
        return [rest for step, rest in self.steps if step == name]

    def last(self, name: str) -> str:
        return self.all(name)[-1]

    @contextmanager
    def started(self, folder: Path, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
        """What an engine starts: process 1 of its own, of a user without account, home and rights,
        on a file system that is read-only but for the mirror."""
        places = {
            "/opt/artifact-sync": self.place,
            "/etc/artifact-sync": folder,
            MIRROR: folder / "mirror",
        }
        become = f"setpriv --reuid={NOBODY} --regid=0 --clear-groups --no-new-privs"
        become += " --bounding-set=-all --inh-caps=-all env -i"
        given = [f"{name}={value}" for name, value in environ.items()]
        words = [*self._words("ENTRYPOINT"), *self._words("CMD")]
        program = " ".join([become, *self.all("ENV")[-1:], *given, *words])
        for here, there in places.items():
            program = program.replace(here, str(there))
        mounts = f"mount --bind {folder}/mirror {folder}/mirror; mount -o remount,bind,ro /"
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with subprocess.Popen(
            [*alone, "bash", "-euc", f"{mounts}; cd /; exec {program}"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _words(self, name: str) -> list[str]:
        """Of a step that starts the program without a shell."""
        words: list[str] = json.loads(self.last(name))
        return words


def test_the_image_is_for_any_user_and_ends_when_it_is_told_to(
    image: Image, anywhere: Path, own_service: Running
) -> None:
    if os.geteuid() != 0:
        pytest.skip("to be somebody else needs root")
    assert (image.last("USER"), image.last("STOPSIGNAL")) == ("1000:0", "SIGTERM")
    mirror = anywhere / "mirror"
    made("bash", "-euc", image.all("RUN")[-1].replace("/srv/mirror", str(mirror)))
    (anywhere / "config.toml").write_text(
        f'[mirror]\nroot = "{mirror}"\n[[repo]]\nname = "acme/*"\n'
    )
    environ = {
        "SOURCECRAFT_TOKEN": TOKEN,
        "ARTIFACT_SYNC_SOURCE__BASE_URL": own_service.base_url,
    }
    with image.started(anywhere, environ) as process:
        wait_until(lambda: len([*mirror.glob("acme/*/latest")]) == 2)
        first = made("ps", "-o", "pid=", "--ppid", process.pid)
        os.kill(int(first), signal.SIGTERM)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert {path.lstat().st_uid for path in mirror.rglob("*")} == {NOBODY}


@dataclass(frozen=True)
class Machine:
    """A box in which the package is installed, upgraded and taken away."""

    box: Box

    def dpkg(self, *arguments: object) -> str:
        """Call ``dpkg``, with an answer to its question about a changed configuration: keep it."""
        return self.box.run(f"dpkg --force-confold {' '.join(map(str, arguments))} 2>&1")

    def show(self, name: str) -> str:
        return self.box.show("artifact-sync", name)

    def there(self, *paths: str) -> list[bool]:
        return [self.box.attempt(f"test -e {path}").returncode == 0 for path in paths]

    def start(self, base_url: str) -> None:
        """Do what the package leaves to a person."""
        wanted = f'[source]\nbase_url = "{base_url}"\n[[repo]]\nname = "acme/*"\n'
        self.box.run(f"cat >>{CONFIG}", input=wanted)
        self.box.run("install -m 600 /dev/stdin /etc/artifact-sync/token", input=f"{TOKEN}\n")
        self.box.run("systemctl enable --now artifact-sync")

    def complete(self) -> None:
        """The daemon carries this pass out, so that it is there, too."""
        assert "complete: " in self.box.run(f"artifact-sync sync --config {CONFIG}")
        assert ", 0 missing, 0 changed" in self.box.run(f"artifact-sync verify --config {CONFIG}")


@pytest.fixture
def newer(deb: Path) -> Path:
    """The package of a later version, which has another configuration."""
    tree = deb.parent / "newer"
    made("dpkg-deb", "--raw-extract", deb, tree)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99", control.read_text()))
    with (tree / CONFIG[1:]).open("a") as config:
        config.write("# Something new.\n")
    to = deb.with_name("newer.deb")
    made("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, to)
    return to


@pytest.mark.root
def test_the_deb_is_installed_twice_upgraded_removed_and_purged(
    deb: Path, newer: Path, tmp_path_factory: pytest.TempPathFactory, own_service: Running
) -> None:
    with workshop(tmp_path_factory.mktemp("boxes")) as boxes, boxes.box(deb, newer) as box:
        # The machine's policy is another; its index of manual pages takes ten seconds a time.
        box.run("rm -f /usr/sbin/policy-rc.d /var/lib/man-db/auto-update")
        machine = Machine(box)

        # What somebody made by hand is not mixed with it.
        box.run("mkdir -p /opt/artifact-sync && touch /opt/artifact-sync/pyvenv.cfg")
        refused = box.attempt(f"dpkg -i {deb.name}")
        assert (refused.returncode, "Move it away first" in refused.stderr) == (1, True)
        box.run("rm -r /opt/artifact-sync")

        # Nothing runs before there are a token and repositories.
        machine.dpkg("-i", deb.name)
        assert machine.show("UnitFileState") == "disabled"
        assert box.run("artifact-sync --version").endswith(VERSION)
        assert box.run("dpkg --verify artifact-sync") == ""
        machine.start(own_service.base_url)
        machine.complete()

        # Once more, and a later version: what runs goes on, the configuration is the person's own.
        for package in (deb, newer):
            before = machine.show("MainPID")
            machine.dpkg("-i", package.name)
            assert machine.show("ActiveState") == "active"
            assert machine.show("MainPID") not in ("0", before)
            machine.complete()
        assert machine.there(CONFIG, f"{CONFIG}.dpkg-dist") == [True, True]

        # Removed, it leaves the configuration; nothing of the program is left, nor runs, whatever
        # the machine's policy on starting and stopping is.
        box.run(f"touch {AUTHORITY}")
        box.run(
            "printf '#!/bin/sh\\nexit 101\\n' | install -m 755 /dev/stdin /usr/sbin/policy-rc.d"
        )
        machine.dpkg("-r", "artifact-sync")
        assert machine.show("LoadState") == "not-found"
        assert box.attempt("pgrep -u artifact-sync").returncode == 1
        gone = ("/opt/artifact-sync", "/usr/bin/artifact-sync", "/usr/share/doc/artifact-sync")
        assert machine.there(*gone) == [False, False, False]
        assert machine.there(CONFIG, "/etc/artifact-sync/token") == [True, True]

        # Installed again it is as before.
        machine.dpkg("-i", deb.name)
        assert machine.show("UnitFileState") == "enabled"
        box.run("systemctl start artifact-sync")
        machine.complete()

        # Purged, it leaves the mirror, its user, and what it does not know.
        said = machine.dpkg("-P", "artifact-sync")
        assert f"The mirror {MIRROR} stays" in said
        assert machine.there(CONFIG, "/etc/artifact-sync/token", ENABLED) == [False, False, False]
        assert machine.there(f"{MIRROR}/acme/rocket/latest", AUTHORITY) == [True, True]
        assert box.run(f"stat -c %U {MIRROR}/acme") == "artifact-sync"
