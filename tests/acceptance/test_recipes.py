"""The recipes are true: the files of docs/recipes/files do their work, with real servers.

Commands that print something are tested by test_readme.py. Those with places of the whole machine
are carried out here, with other places.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from daemon_user import DaemonUser, run_complete
from pages import REPOSITORY, Page
from prometheus_client.parser import text_string_to_metric_families
from real_servers import PlainNginx, program
from user import TOKEN, User, contents, wait_until

from artifact_sync.domain.jobs import FleetState, WorkerSeen
from artifact_sync.domain.status import DaemonState
from artifact_sync.mirror.local.signer import CommandSigner
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.web.metrics import Gauges, Metrics
from artifact_sync.web.prometheus import render, snapshot
from fleet_demo.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from artifact_sync.simulator import Running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the recipes are for Linux")
of_site = pytest.mark.xdist_group("recipes-site")
of_daemon = pytest.mark.xdist_group("recipes-daemon")
by_root = pytest.mark.skipif(
    getattr(os, "geteuid", int)() != 0, reason="needs root to be somebody else"
)

FILES = REPOSITORY / "docs" / "recipes" / "files"
ANYBODY = 54_321
"""A uid without an account."""
EXECUTED = "tested by test_recipes.py"
_SIGNED = Page("docs/recipes/signed.md")


def blocks_of(page: str, mark: str = EXECUTED) -> list[str]:
    """The blocks of a recipe that are left to this file."""
    return [it.text for it in Page(f"docs/recipes/{page}.md").blocks() if it.mark == mark]


def with_places(text: str, places: Mapping[str, object]) -> str:
    """A command or a file with other places than its own, each of which it must have."""
    for old, new in places.items():
        assert old in text, (old, text)
        text = text.replace(old, str(new))
    return text


def typed(text: str, folder: Path, **environ: str) -> str:
    """Carry out commands in a folder; what they print."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def get(port: int, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Ask a server of this machine for a path, byte for byte: status, headers and body."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


# nginx.md


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory, service: Running) -> User:
    """A mirror of all that the service has."""
    user = User(tmp_path_factory.mktemp("mirrored"), service)
    assert user.sync("acme/*").code == 0
    return user


@pytest.fixture(scope="module")
def site(mirror: User) -> Iterator[int]:
    """The port at which nginx serves the mirror, installed as the recipe says."""
    etc, port = mirror.folder / "nginx", free_port()
    (etc / "conf.d").mkdir(parents=True)
    places = {"/etc/nginx": etc, "/var/lib/artifact-sync": mirror.root}
    typed(with_places(blocks_of("nginx")[0], places), REPOSITORY)
    written = (etc / "conf.d" / "artifact-sync.conf").read_text(encoding="utf-8")
    servers = with_places(written, {**places, "listen 80;": f"listen 127.0.0.1:{port};"})
    with PlainNginx(mirror.folder / "running", servers, port):
        yield port


@of_site
def test_nginx_lists_folders_and_serves_every_file_with_its_digest(mirror: User, site: int) -> None:
    status, _, body = get(site, "/acme/rocket/")
    assert (status, re.findall(r'href="([^"]+)"', body.decode())) == (
        200,
        ["../", "1/", "2/", "3/", "latest/", "latest-success/"],
    )
    assert b".artifact-sync" not in get(site, "/")[2]
    for path, content in mirror.files().items():
        status, headers, body = get(site, f"/{path}")
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert (status, body, headers["Repr-Digest"]) == (200, content, f"sha-256=:{digest}:")
        assert headers["Content-Security-Policy"] == "sandbox allow-scripts"
    status, headers, body = get(site, f"/{path}", Range="bytes=3-5")
    assert (status, body, headers["Repr-Digest"]) == (206, content[3:6], f"sha-256=:{digest}:")


@of_site
def test_nginx_serves_nothing_of_the_programs_own(mirror: User, site: int) -> None:
    assert (mirror.root / ".artifact-sync" / "id").exists()
    own = ["/.artifact-sync", "/.artifact-sync/", "/.artifact-sync/id", "//.artifact-sync/id"]
    odd = ["/%2eartifact-sync/id", "/acme/../.artifact-sync/id", "/acme/./..//.artifact-sync//id"]
    assert {path: get(site, path)[0] for path in own + odd} == dict.fromkeys(own + odd, 404)


@of_site
@by_root
def test_nginx_follows_no_link_of_somebody_else(mirror: User, site: int) -> None:
    (mirror.folder / "elsewhere").write_text("not yours")
    planted = mirror.root / "acme" / "website" / "1" / "planted"
    planted.symlink_to(mirror.folder / "elsewhere")
    os.lchown(planted, ANYBODY, ANYBODY)
    try:
        assert get(site, "/acme/website/1/planted")[0] == 403
        assert get(site, "/acme/website/latest/SHA256SUMS")[0] == 200
    finally:
        planted.unlink()


@of_site
def test_whoever_downloads_from_nginx_can_check(site: int, tmp_path: Path) -> None:
    fetch = with_places(
        blocks_of("nginx")[1], {"http://artifacts.example": f"http://127.0.0.1:{site}"}
    )
    said = typed(fetch, tmp_path)
    assert said.splitlines() == [
        "ci/build/build/dist/app.tar.gz: OK",
        "ci/build/build/dist/app.tar.gz.sha256: OK",
        "ci/build/build/report/junit.xml: OK",
        "docs/site/pages/site/index.html: OK",
    ]


# webhook.md, authority.md, prometheus.md: one daemon, and one nginx with TLS before it and the API


class Behind:
    """A daemon and the API behind nginx, which has a certificate of an authority of its own."""

    def __init__(self, folder: Path, service: Running) -> None:
        self.user = DaemonUser(folder, service)
        self.daemon_port, self.hooks, self.api = free_port(), free_port(), free_port()
        self.certificate, self.key = folder / "our-ca.pem", folder / "our.key"
        self.credstore = folder / "credstore"
        self.user.hook = self.credstore / "artifact-sync.webhook-secret"
        self._service = service
        self._folder = folder

    def prepare(self) -> str:
        """Make certificate, secret and configuration; what nginx is to serve."""
        subject = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
        make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 {subject}"
        typed(f"{make} -keyout {self.key} -out {self.certificate} 2>&1", self._folder)
        typed(
            with_places(blocks_of("webhook")[0], {"/etc/credstore": self.credstore}), self._folder
        )
        self.user.configure("acme/*", web__listen=f"127.0.0.1:{self.daemon_port}")
        places = {
            "listen 443 ssl": f"listen 127.0.0.1:{self.hooks} ssl",
            "/etc/nginx/tls/hooks.example.pem": self.certificate,
            "/etc/nginx/tls/hooks.example.key": self.key,
            "http://127.0.0.1:8480": f"http://127.0.0.1:{self.daemon_port}",
        }
        hooks = with_places((FILES / "webhook.nginx.conf").read_text(encoding="utf-8"), places)
        tls = f"ssl_certificate {self.certificate}; ssl_certificate_key {self.key};"
        api = f"location / {{ proxy_pass {self._service.base_url}; }}"
        return f"{hooks}\nserver {{ listen 127.0.0.1:{self.api} ssl; {tls} {api} }}"

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Ask for something over TLS."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("localhost", self.hooks, context=trust, timeout=20)
        with closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, service: Running) -> Iterator[Behind]:
    """A daemon with all of its repositories mirrored, behind nginx."""
    folder = tmp_path_factory.mktemp("behind")
    one = Behind(folder, service)
    servers = one.prepare()
    with PlainNginx(folder / "nginx", servers, one.hooks), one.user.daemon() as daemon:
        expected = contents(service.simulator)
        daemon.wait_for(lambda: one.user.has_everything(expected, runs=4))
        yield one


@of_daemon
def test_a_webhook_comes_through_the_proxy_as_the_recipe_says(behind: Behind) -> None:
    address = f"https://localhost:{behind.hooks}"
    places = {"/etc/credstore": behind.credstore, "https://hooks.example": address}
    ping = with_places(blocks_of("webhook")[1], places)
    assert json.loads(typed(ping, behind.user.folder, CURL_CA_BUNDLE=str(behind.certificate))) == {
        "ping": True
    }
    body = json.dumps(run_complete("acme/rocket", "3")).encode()
    secret = behind.user.hook.read_bytes().strip()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    path = "/hooks/sourcecraft"
    assert behind.ask("POST", path, body, **{"X-Src-Signature": signature})[0] == 202
    assert behind.ask("POST", path, body, **{"X-Src-Signature": "0" * 64})[0] == 401


@of_daemon
def test_the_proxy_lets_nothing_but_the_webhook_through(behind: Behind) -> None:
    assert get(behind.daemon_port, "/metrics")[0] == 200
    for path in ("/metrics", "/api/status", "/healthz", "/hooks/sourcecraft/../../metrics", "/"):
        assert behind.ask("GET", path)[0] == 404
    assert behind.ask("GET", "/hooks/sourcecraft")[0] == 403
    assert behind.ask("POST", "/hooks/sourcecraft", b" " * (2 << 20))[0] == 413


@of_daemon
def test_an_authority_of_ones_own_is_trusted_beside_the_usual_ones(
    behind: Behind, tmp_path: Path
) -> None:
    usual = REPOSITORY / "tests" / "data" / "authority.pem"
    places = {
        "/etc/ssl/certs/ca-certificates.crt": usual,
        "our-ca.pem": behind.certificate,
        "/etc/artifact-sync": tmp_path,
    }
    typed(with_places(blocks_of("authority")[0], places), tmp_path)
    user = User(tmp_path, f"https://localhost:{behind.api}")
    config = tmp_path / "config.toml"
    rest = f'[mirror]\nroot = "{user.root}"\n[[repo]]\nname = "acme/website"\n'
    config.write_text(f'[source]\nca_bundle = "ca.pem"\n{rest}')
    done = user.run("config", "check", "--online", "--config", config)
    assert (done.code, done.out.startswith("ok")) == (0, True), done.err
    assert user.run("sync", "--config", config).code == 0
    config.write_text(rest)
    done = user.run("sync", "--config", config, ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS="1")
    assert (done.code, "its certificate is not trusted" in done.out) == (4, True), done


def metric_labels(text: str) -> dict[str, dict[str, set[str]]]:
    """The metrics of a scrape: values by label, by name."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        total = "_total" if family.type == "counter" else ""
        found[family.name + total] = {}
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return found


def expressions() -> list[tuple[str, str]]:
    """The expressions of dashboard and alerts, each with the text that shows its labels."""
    panels = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    shown = [(it["expr"], it["legendFormat"]) for panel in panels for it in panel["targets"]]
    for group in loaded((FILES / "alerts.yml").read_text(encoding="utf-8"))[0]["groups"]:
        for rule in group["rules"]:
            texts = " ".join(rule["annotations"].values())
            shown.append((rule["expr"], re.sub(r"\$labels\.", "", texts)))
    return shown


@of_daemon
def test_dashboard_and_alerts_ask_for_metrics_that_there_are(behind: Behind) -> None:
    assert get(behind.daemon_port, "/api/status")[0] == 200  # which counts anew what vanishes
    counted = "artifact_sync_expiring_artifacts"

    def scraped() -> dict[str, dict[str, set[str]]]:
        return metric_labels(get(behind.daemon_port, "/metrics")[2].decode())

    wait_until(lambda: bool(scraped()[counted]))  # the page is cached
    planner = FleetState((WorkerSeen("one", "here", 1, "", planner=True),))
    state = DaemonState(pid=1, version="", since="")
    of_workers = render(snapshot(Metrics(SystemClock()), Gauges(), state, planner)).decode()
    metrics = metric_labels(of_workers) | scraped()
    for expression, shown in expressions():
        names = set(re.findall(r"\bartifact_sync_\w+", expression))
        assert names <= metrics.keys(), expression
        labels: dict[str, set[str]] = {"instance": set(), "job": set()}
        for name in names:
            labels |= metrics[name]
        used = re.findall(r'(\w+)=~?"', expression) + re.findall(r"\{\{ ?(\w+)", shown)
        used += [
            it for found in re.findall(r"by \((.*?)\)", expression) for it in found.split(", ")
        ]
        assert set(used) <= labels.keys(), (expression, shown)
        for label, value in re.findall(r'(reason|outcome|state)=~?"([^"]+)"', expression):
            assert set(value.split("|")) <= labels[label], expression


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) > 10
    assert {it["name"] for it in dashboard["templating"]["list"]} == {"source", "instance"}
    assert {it["datasource"]["uid"] for it in dashboard["panels"]} == {"${source}"}


def test_promtool_finds_the_rules_right_and_they_fire_when_they_should() -> None:
    promtool = program("promtool", Path("/usr/local/bin"))
    rules = REPOSITORY / "tests" / "data" / "alerts_test.yml"
    for arguments in (
        ["check", "rules", FILES / "alerts.yml"],
        ["check", "config", FILES / "prometheus.yml"],
        ["test", "rules", rules],
    ):
        done = subprocess.run(
            [promtool, *arguments], capture_output=True, text=True, timeout=110, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_names_every_alert_and_shows_what_to_scrape() -> None:
    page = Page("docs/recipes/prometheus.md")
    rules = loaded((FILES / "alerts.yml").read_text(encoding="utf-8"))[0]["groups"][0]["rules"]
    assert re.findall(r"^\| `(\w+)` \|", page.text, re.MULTILINE) == [it["alert"] for it in rules]
    (shown,) = [it.text for it in page.blocks() if it.language == "yaml"]
    assert loaded(shown) == loaded((FILES / "prometheus.yml").read_text(encoding="utf-8"))


# container.md


def loaded(text: str) -> list[Any]:
    """The documents of a YAML text."""
    try:
        import yaml  # noqa: PLC0415 - may be missing outside CI
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("PyYAML is not installed: make install")
    return list(yaml.safe_load_all(text))


class Pod:
    """The pod of kubernetes.yaml: a process of its user, with its volumes in a folder."""

    def __init__(self, folder: Path, user: User) -> None:
        text = (FILES / "kubernetes.yaml").read_text(encoding="utf-8")
        self.kinds = {it["kind"]: it for it in loaded(text)}
        self.deployment = self.kinds["Deployment"]["spec"]
        self.spec = self.deployment["template"]["spec"]
        (self.container,) = self.spec["containers"]
        self.uid = self.spec["securityContext"]["runAsUser"]
        self.port = free_port()
        self.log = folder / "log"
        self._user = user
        self._places = {
            it["mountPath"]: folder / it["name"] for it in self.container["volumeMounts"]
        }
        for place in self._places.values():
            place.mkdir(mode=0o777)
            place.chmod(0o777)
        self.config = self.kinds["ConfigMap"]["data"]["config.toml"]

    def mount(self, name: str, content: dict[str, str], mode: int) -> None:
        """Mount files as the kubelet does: a link leads to a folder, which is exchanged whole."""
        volume = next(it for it in self._places.values() if it.name == name)
        version = volume / f"..{len(list(volume.iterdir()))}"
        version.mkdir(mode=0o755)
        for file, text in content.items():
            (version / file).write_text(text)
            (version / file).chmod(mode)
            if not (volume / file).is_symlink():
                (volume / file).symlink_to(f"..data/{file}")
        (volume / "..new").symlink_to(version.name)
        (volume / "..new").replace(volume / "..data")

    def inside(self, text: str) -> str:
        """A path of the container's as it is here."""
        for place, here in self._places.items():
            if text == place or text.startswith(f"{place}/"):
                return f"{here}{text.removeprefix(place)}"
        return text

    def start(self) -> subprocess.Popen[bytes]:
        environ = {it["name"]: self.inside(it["value"]) for it in self.container["env"]}
        environ |= {
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
            "ARTIFACT_SYNC_SOURCE__BASE_URL": self._user.environ["ARTIFACT_SYNC_SOURCE__BASE_URL"],
            "ARTIFACT_SYNC_MIRROR__ROOT": self.inside(tomllib.loads(self.config)["mirror"]["root"]),
            "ARTIFACT_SYNC_MIRROR__MUST_BE_MOUNTED": "false",
            "ARTIFACT_SYNC_WEB__LISTEN": f"127.0.0.1:{self.port}",
        }
        arguments = [self.inside(it) for it in self.container["args"]]
        command = [sys.executable, "-m", "artifact_sync", *arguments]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [*become(self.uid), *command], env=environ, cwd="/", stderr=log, stdout=log
            )


def become(uid: int) -> list[str]:
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


@by_root
def test_the_daemon_runs_as_the_manifest_says(anywhere: Path, user: User, service: Running) -> None:
    pod = Pod(anywhere, user)
    pod.mount("config", {"config.toml": pod.config}, 0o644)
    pod.mount("secrets", {"sourcecraft-token": TOKEN}, 0o444)
    with pod.start() as process:
        try:
            root = User(anywhere, service).root
            wait_until(lambda: User(anywhere, service).files() == contents(service.simulator))
            assert {path.stat().st_uid for path in root.rglob("*")} == {pod.uid}
            probes = [
                pod.container[it]["httpGet"]["path"] for it in ("livenessProbe", "readinessProbe")
            ]
            assert {get(pod.port, path)[0] for path in probes} == {200}
            pod.mount("config", {"config.toml": pod.config + 'interval = "7m"\n'}, 0o644)
            wait_until(lambda: "interval" in pod.log.read_text())
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, pod.log.read_text()


def test_the_manifest_says_what_the_daemon_needs(tmp_path: Path, user: User) -> None:
    pod = Pod(tmp_path, user)
    (tmp_path / "config.toml").write_text(pod.config)
    shown = user.run("config", "show", "--config", tmp_path / "config.toml")
    assert shown.code == 0, shown.err
    assert (pod.deployment["replicas"], pod.deployment["strategy"]) == (1, {"type": "Recreate"})
    assert pod.spec["terminationGracePeriodSeconds"] > 30
    assert 'grace = "30s"' in shown.out
    assert pod.spec["enableServiceLinks"] is False
    claims = [it.get("persistentVolumeClaim", {}).get("claimName") for it in pod.spec["volumes"]]
    assert pod.kinds["PersistentVolumeClaim"]["metadata"]["name"] in claims


@by_root
def test_one_pass_in_a_container_needs_no_account(anywhere: Path, user: User) -> None:
    words = shlex.split(blocks_of("container")[0])
    arguments = words[words.index("artifact-sync") + 1 :]
    place = words[words.index("--volume") + 1].partition(":")[2]
    assert place in arguments
    root = anywhere / "mirror"
    called = [str(root) if it == place else it for it in arguments]
    done = subprocess.run(
        [*become(ANYBODY), sys.executable, "-m", "artifact_sync", *called],
        env={name: it for name, it in user.environ.items() if not name.startswith(("HOME", "XDG"))},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (root / "acme" / "rocket" / "latest" / "SHA256SUMS").exists()


# cron.md


def test_cron_has_something_to_mail_only_when_something_is_wrong(
    tmp_path: Path, user: User
) -> None:
    text = (FILES / "crontab").read_text(encoding="utf-8")
    (shown,) = [it for it in Page("docs/recipes/cron.md").blocks() if it.language == "crontab"]
    assert text.endswith(shown.text)
    command = text.splitlines()[-1].split(None, 5)[5]
    (tmp_path / ".local" / "bin").mkdir(parents=True)
    program = tmp_path / ".local" / "bin" / "artifact-sync"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m artifact_sync "$@"\n')
    program.chmod(0o755)
    folder = tmp_path / ".config" / "artifact-sync"
    folder.mkdir(parents=True)

    def mailed(repo: str) -> tuple[int, str]:
        config = f'[mirror]\nroot = "~/artifacts"\n[[repo]]\nname = "{repo}"\n'
        (folder / "config.toml").write_text(config)
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=user.environ | {"PATH": "/usr/local/bin:/usr/bin:/bin"},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    assert mailed("acme/website") == (0, "")
    code, told = mailed("acme/webpage")
    assert (code, "acme/webpage: not found" in told) == (1, True)
    with subprocess.Popen(
        ["flock", folder / "cron.lock", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b"x")
        holder.stdin.flush()
        assert holder.stdout.read(1) == b"x"  # it holds the lock
        assert mailed("acme/webpage") == (0, "")
        holder.stdin.close()


# signed.md


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.servers
def test_signatures_are_made_and_a_wrong_one_is_shown(
    tmp_path: Path, keys: Path, service: Running
) -> None:
    program("ssh-keygen")
    make, settings, shown = blocks_of("signed")
    typed(with_places(make, {"/etc/artifact-sync": keys}), tmp_path)
    user = User(tmp_path, service)
    for name, words in tomllib.loads(settings)["mirror"].items():
        argv = ",".join(words).replace("/etc/artifact-sync", str(keys))
        user.environ[f"ARTIFACT_SYNC_MIRROR__{name.upper()}"] = argv
    assert user.sync("acme/*").code == 0
    assert user.run("verify", "--root", user.root).code == 0
    spoilt = user.root / "acme/website/1/SHA256SUMS.sig"
    spoilt.write_bytes((user.root / "acme/rocket/1/SHA256SUMS.sig").read_bytes())
    done = user.run("verify", "--root", user.root)
    assert done.code == 5
    assert done.out.splitlines() == shown.splitlines()[1:]


@pytest.mark.servers
@pytest.mark.parametrize("name", ["gpg", "minisign"])
def test_other_programs_sign_and_check_as_the_table_says(name: str, keys: Path) -> None:
    program(name)
    (line,) = re.findall(rf"^\| {name} \| `(.*)` \| `(.*)` \|$", _SIGNED.text, re.MULTILINE)
    make = {
        "gpg": ["gpg --batch --passphrase '' --quick-generate-key mirror ed25519 sign"],
        "minisign": ["minisign -G -W -p KEY.pub -s KEY.sec"],
    }
    environ = {"PATH": os.environ["PATH"], "GNUPGHOME": str(keys)}
    words = [it.replace("KEY.", f"{keys}/KEY.") for it in (*make[name], *line)]
    subprocess.run(shlex.split(words[0]), env=environ, check=True, capture_output=True)
    signer = CommandSigner(shlex.split(words[1]), shlex.split(words[2]), environ)
    signature = signer.sign(b"sums")
    assert signer.check(b"sums", signature) == ""
    assert signer.check(b"others", signature).startswith("ended with ")
