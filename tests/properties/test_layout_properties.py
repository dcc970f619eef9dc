"""Whatever a server sends: a safe path below the root, or ``UnsafePath``; never two for one."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from hypothesis import assume, given
from hypothesis import strategies as st

from artifact_sync.errors import UnsafePath
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.names import is_device
from artifact_sync.model import ArtifactKey
from artifact_sync.settings import DEFAULT_LAYOUT

LAYOUT = Layout(DEFAULT_LAYOUT)
ANY = st.text(st.characters(codec=None, categories=None), max_size=400)
NASTY = st.text(st.sampled_from("./\\%~: *aCON1nul\0\n\x85\ud800яé\u0301$#2EF"), max_size=12)
SPECIAL = st.sampled_from(
    [".", "..", "con", "NUL.x", "latest", "run.json", ".artifact-sync", "a" * 300, "я" * 200]
)
NAMES = ANY | NASTY | SPECIAL


def is_safe(component: str) -> bool:
    return (
        component not in {"", ".", ".."}
        and not any(char in component for char in '/\\<>:"|?*')
        and all(ord(char) >= 32 and not 0x7F <= ord(char) <= 0x9F for char in component)
        and component[-1] not in ". "
        and not is_device(component)
        and len(component.encode("utf-8")) <= 255
    )


def place_or_refusal(names: list[str]) -> tuple[str, str]:
    try:
        return LAYOUT.place(ArtifactKey(*names)), ""
    except UnsafePath as problem:
        return "", str(problem)


@given(st.lists(NAMES, min_size=7, max_size=7))
def test_every_path_is_safe_on_every_system_or_refused(names):
    path, refusal = place_or_refusal(names)
    assert refusal.isprintable()
    if refusal:
        return
    components = path.split("/")
    assert all(map(is_safe, components))
    assert components[0].casefold() != ".artifact-sync"
    assert components[2].casefold() not in {"latest", "latest-success"}
    assert components[3].casefold() not in {"sha256sums", "run.json"}
    assert len(path.encode()) < 4096


def placed(slug: str) -> str:
    return LAYOUT.place(ArtifactKey("o", "r", "1", slug, "t", "c", "f")).split("/")[3]


@given(NAMES, NAMES)
def test_two_slugs_never_get_one_folder(one, other):
    assume(one and other and one != other)
    assert placed(one) != placed(other)


@given(NASTY | SPECIAL)
def test_a_slug_can_be_read_back_from_its_folder(slug):
    assume(slug and len(slug.encode("utf-8", "surrogatepass")) < 80)
    assert unquote_to_bytes(placed(slug)).decode("utf-8", "surrogatepass") == slug


@given(NAMES)
def test_what_looks_like_a_cut_slug_is_not_taken_for_one(slug):
    assume(slug)
    name = placed(slug)
    assert placed(name) != name or name == slug
