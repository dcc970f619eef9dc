"""Whatever a server sends: a safe path below the root, or ``UnsafePath``; never two for one."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from hypothesis import assume, given
from hypothesis import strategies as st

from artifact_sync.domain.errors import UnsafePath
from artifact_sync.domain.model import ArtifactKey
from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.names import is_device

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


SLUGS = NAMES.filter(bool)


@given(st.lists(SLUGS, min_size=6, max_size=6))
def test_every_slug_becomes_a_folder_that_is_safe_on_every_system(slugs):
    components = LAYOUT.place(ArtifactKey(*slugs, "f")).split("/")
    assert len(components) == 7
    assert all(map(is_safe, components))
    assert components[0].casefold() != ".artifact-sync"
    assert components[2].casefold() not in {"latest", "latest-success"}
    assert components[3].casefold() not in {"sha256sums", "run.json"}


def file_or_refusal(local_path: str) -> tuple[list[str], str]:
    try:
        path = LAYOUT.place(ArtifactKey("o", "r", "1", "w", "t", "c", local_path))
    except UnsafePath as problem:
        return [], str(problem)
    return path.removeprefix("o/r/1/w/t/c/").split("/"), ""


@given(st.lists(NAMES, max_size=4).map("/".join) | ANY.map(lambda text: text.replace("\\", "/")))
def test_every_path_is_safe_on_every_system_or_refused(local_path):
    components, refusal = file_or_refusal(local_path)
    assert all(map(is_safe, components))
    assert bool(components) != bool(refusal)
    assert refusal.isprintable()


def placed(slug: str) -> str:
    return LAYOUT.place(ArtifactKey("o", "r", "1", slug, "t", "c", "f")).split("/")[3]


@given(SLUGS, SLUGS)
def test_two_slugs_never_get_one_folder(one, other):
    assume(one != other)
    assert placed(one) != placed(other)


@given(NASTY | SPECIAL)
def test_a_slug_can_be_read_back_from_its_folder(slug):
    assume(slug and len(slug.encode("utf-8", "surrogatepass")) < 80)
    assert unquote_to_bytes(placed(slug)).decode("utf-8", "surrogatepass") == slug


@given(SLUGS)
def test_what_looks_like_a_cut_slug_is_not_taken_for_one(slug):
    name = placed(slug)
    assert placed(name) != name or name == slug


@given(SLUGS, SLUGS)
def test_two_logs_never_get_one_name_and_each_is_safe(one, other):
    names = [LAYOUT.place(ArtifactKey("o", "r", "1", "w", "t", it, "")) for it in (one, other)]
    assert (names[0] == names[1]) is (one == other)
    assert all(is_safe(name.rpartition("/")[2]) for name in names)
