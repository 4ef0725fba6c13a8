"""A file gets its name when it is whole, and nothing that is in the way is followed, overwritten or lost."""

import os
import stat
import tempfile
from pathlib import Path

import pytest
from tests.download.bringing import Count, bring, leftovers, run_python, standing, stored, whys
from tests.stores import Around

from tablesnap.download.one import Fetch
from tablesnap.download.temporary import is_temporary, temporary_name
from tablesnap.rules import sstable
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content

DATA = b"what was stored"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


# Something has the name already


def test_a_file_that_is_there_already_is_not_fetched(store: MemoryStore, tmp_path: Path) -> None:
    fetch = stored(store, "k", DATA, tmp_path / "f")
    (tmp_path / "f").write_bytes(DATA)
    before = (tmp_path / "f").stat()
    watched, progress = Around(store), Count()

    assert bring(watched, [fetch], progress=progress) == []

    assert watched.requests == []
    assert (tmp_path / "f").stat().st_mtime_ns == before.st_mtime_ns
    assert (progress.files, progress.size) == (1, len(DATA))


@pytest.mark.parametrize("there", [b"what was written", b"what was storeD", b""])
def test_a_different_file_is_never_overwritten(store: MemoryStore, tmp_path: Path, there: bytes) -> None:
    fetch = stored(store, "k", DATA, tmp_path / "f")
    (tmp_path / "f").write_bytes(there)
    watched = Around(store)

    [failure] = bring(watched, [fetch])

    assert failure.why == "something different is there, and is only overwritten if that is asked for"
    assert standing(tmp_path) == {"f": there}
    assert watched.requests == []


def test_a_different_file_is_replaced_where_that_is_asked_for(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"something else")
    os.link(tmp_path / "f", tmp_path / "its other name")

    assert bring(store, [stored(store, "k", DATA, tmp_path / "f", replace=True)]) == []

    assert standing(tmp_path) == {"f": DATA, "its other name": b"something else"}


def test_a_file_is_not_replaced_by_one_that_is_not_whole(store: MemoryStore, tmp_path: Path) -> None:
    fetch = stored(store, "k", DATA, tmp_path / "f", replace=True)
    store.delete(["k"])
    store.create("k", Content.of(DATA[:5]))
    (tmp_path / "f").write_bytes(b"something else")

    assert len(bring(store, [fetch])) == 1
    assert standing(tmp_path) == {"f": b"something else"}


@pytest.mark.parametrize("replace", [False, True])
def test_a_name_taken_meanwhile_is_seen(store: MemoryStore, tmp_path: Path, replace: bool) -> None:
    class Faster(Around):
        def after(self, request: str) -> None:
            (tmp_path / "f").write_bytes(b"somebody else's")

    failures = bring(Faster(store), [stored(store, "k", DATA, tmp_path / "f", replace=replace)])

    assert len(failures) == (0 if replace else 1)
    assert standing(tmp_path) == {"f": DATA if replace else b"somebody else's"}
    assert leftovers(tmp_path) == []


def test_the_same_file_brought_meanwhile_by_another_run_will_do(store: MemoryStore, tmp_path: Path) -> None:
    class Faster(Around):
        def after(self, request: str) -> None:
            (tmp_path / "f").write_bytes(DATA)

    progress = Count()

    assert bring(Faster(store), [stored(store, "k", DATA, tmp_path / "f")], progress=progress) == []

    assert leftovers(tmp_path) == []
    assert (progress.files, progress.size) == (1, len(DATA))


@pytest.mark.parametrize("replace", [False, True])
def test_a_directory_under_the_name_stays(store: MemoryStore, tmp_path: Path, replace: bool) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "kept").write_bytes(b"kept")

    assert len(bring(store, [stored(store, "k", DATA, tmp_path / "f", replace=replace)])) == 1
    assert standing(tmp_path) == {"f/kept": b"kept"}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("linked", [DATA, b"a victim", None])
@pytest.mark.parametrize("replace", [False, True])
def test_a_link_under_the_name_is_not_followed(
    store: MemoryStore, tmp_path: Path, linked: bytes | None, replace: bool
) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    inside.mkdir()
    if linked is not None:
        outside.write_bytes(linked)
    (inside / "f").symlink_to(outside)

    failures = bring(store, [stored(store, "k", DATA, inside / "f", replace=replace)])

    assert (outside.read_bytes() if linked is not None else None) == linked
    assert outside.exists() == (linked is not None)
    assert (inside / "f").is_symlink() == bool(failures) == (not replace)
    assert leftovers(tmp_path) == []


def test_a_file_in_the_place_of_a_directory_is_said(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(b"no directory")

    [failure] = bring(store, [stored(store, "k", DATA, tmp_path / "d" / "f")])

    assert failure.why == "Not a directory"
    assert standing(tmp_path) == {"d": b"no directory"}


def test_a_link_to_nowhere_in_the_place_of_a_directory_is_said(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "d").symlink_to(tmp_path / "nowhere")

    assert len(bring(store, [stored(store, "k", DATA, tmp_path / "d" / "e" / "f")])) == 1
    assert standing(tmp_path) == {}


# Something has the temporary name


@pytest.mark.parametrize("replace", [False, True])
def test_a_second_name_of_a_whole_file_goes_and_the_file_stays(
    store: MemoryStore, tmp_path: Path, replace: bool
) -> None:
    # A run was killed between the two steps: the file has its name, and its temporary one still.
    (tmp_path / "f").write_bytes(b"brought before" if replace else DATA)
    os.link(tmp_path / "f", tmp_path / "kept")
    os.link(tmp_path / "f", tmp_path / temporary_name("f"))

    assert bring(store, [stored(store, "k", DATA, tmp_path / "f", replace=replace)]) == []

    assert standing(tmp_path) == {"f": DATA, "kept": b"brought before" if replace else DATA}
    assert leftovers(tmp_path) == []


def test_a_link_under_the_temporary_name_is_not_followed(store: MemoryStore, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"a victim")
    (tmp_path / temporary_name("f")).symlink_to(victim)

    assert bring(store, [stored(store, "k", DATA, tmp_path / "f", mode=0o600)]) == []

    assert standing(tmp_path) == {"f": DATA, "victim": b"a victim"}
    assert stat.S_IMODE(victim.stat().st_mode) != 0o600
    assert leftovers(tmp_path) == []


def test_a_pipe_under_the_temporary_name_holds_nobody_up(store: MemoryStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / temporary_name("f"))
    os.mkfifo(tmp_path / "pipe")

    failures = bring(store, [stored(store, "k", DATA, tmp_path / "f")], [stored(store, "p", DATA, tmp_path / "pipe")])

    assert set(whys(failures)) == {str(tmp_path / "pipe")}
    assert standing(tmp_path) == {"f": DATA}
    assert leftovers(tmp_path) == []


def test_a_directory_under_the_temporary_name_is_said(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / temporary_name("f")).mkdir()

    [failure] = bring(store, [stored(store, "k", DATA, tmp_path / "f")])

    assert failure.why == "Is a directory"


def test_what_a_killed_run_left_goes_also_where_the_file_is_not_asked_for(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / temporary_name("another file")).write_bytes(b"half")
    (tmp_path / ".tablesnap-tmp-mine").write_bytes(b"somebody's own")

    assert bring(store, [stored(store, "k", DATA, tmp_path / "f")]) == []

    assert standing(tmp_path) == {"f": DATA, ".tablesnap-tmp-mine": b"somebody's own"}
    assert leftovers(tmp_path) == []


# Names


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"x" * 255, id="255 bytes"),
        pytest.param("ü".encode() * 127, id="254 bytes in 127 characters"),
        pytest.param(b"caf\xe9 \xff", id="not UTF-8"),
        pytest.param(b"line\nfeed \x1b[31m", id="control characters"),
        pytest.param(b"-rf", id="like a flag"),
        pytest.param(b" ", id="a space"),
        pytest.param(b"...", id="dots"),
    ],
)
def test_any_name_that_a_disk_takes_will_do(store: MemoryStore, tmp_path: Path, name: bytes) -> None:
    target = os.path.join(tmp_path, os.fsdecode(name))

    assert bring(store, [stored(store, "k", DATA, target)]) == []

    assert os.listdir(os.fsencode(tmp_path)) == [name]
    assert Path(target).read_bytes() == DATA


@pytest.mark.parametrize(
    "target",
    ["relative", "{}/../out", "{}/./f", "{}//f", "{}/f/", "{}/", "{}/..", "{}/nul\0", "{}/" + temporary_name("f"), ""],
)
def test_a_target_that_is_not_what_it_seems_is_refused(store: MemoryStore, tmp_path: Path, target: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()

    [failure] = bring(store, [stored(store, "k", DATA, target.format(inside))])

    assert failure.why == "no file can be restored under such a name"
    assert standing(tmp_path) == {}


def test_a_name_too_long_is_said(store: MemoryStore, tmp_path: Path) -> None:
    [failure] = bring(store, [stored(store, "k", DATA, tmp_path / ("x" * 256))])

    assert failure.why == "File name too long"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["nb-1-big-Data.db", "x" * 255, "caf\udce9", "f"])
def test_a_temporary_name_is_short_its_own_and_no_sstables(name: str) -> None:
    made = temporary_name(name)

    assert made == temporary_name(name) != temporary_name(name + "'")
    assert len(os.fsencode(made)) < 64
    assert is_temporary(made)
    assert sstable.parse(made) is None
    assert "-tmp" in made  # so that neither tablesnap nor 1.x backs it up


# Owner, mode and times


def test_a_new_file_has_the_mode_of_any_new_file(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "any").touch()

    assert bring(store, [stored(store, "k", DATA, tmp_path / "f")]) == []

    assert (tmp_path / "f").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_owner_mode_and_time_are_those_asked_for(store: MemoryStore, tmp_path: Path) -> None:
    # A change of owner takes the set-user-id bit off, and each of the two may move a time.
    mtime = 1_600_000_000_123_456_789
    owner = (os.geteuid(), os.getegid())
    fetch = stored(store, "k", DATA, tmp_path / "f", mode=0o104751, set_ids=True, owner=owner, mtime_ns=mtime)

    assert bring(store, [fetch]) == []

    status = (tmp_path / "f").stat()
    assert stat.S_IMODE(status.st_mode) == 0o4751
    assert (status.st_uid, status.st_gid) == owner
    assert status.st_mtime_ns == mtime


@pytest.mark.parametrize("from_metadata", [False, True])
def test_bits_that_give_away_the_owners_rights_are_set_only_where_that_is_asked_for(
    store: MemoryStore, tmp_path: Path, from_metadata: bool
) -> None:
    stat_of = f'{{"uid": {os.geteuid()}, "gid": {os.getegid()}, "mode": {0o107751}}}'
    store.create("k", Content.of(DATA), metadata={"stat": stat_of})
    fetch = Fetch("k", str(tmp_path / "f"), mode=0o107751, preserve_from_metadata=from_metadata)

    assert bring(store, [fetch]) == []

    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o751


def test_a_file_is_private_until_it_has_its_mode(store: MemoryStore, tmp_path: Path) -> None:
    modes: list[int] = []

    class Watching(Around):
        def after(self, request: str) -> None:
            modes.extend(stat.S_IMODE(path.stat().st_mode) for path in leftovers(tmp_path))

    assert bring(Watching(store), [stored(store, "k", DATA, tmp_path / "f", mode=0o640)]) == []

    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


def test_an_owner_that_cannot_be_given_leaves_no_file() -> None:
    program = """
import os, sys
from tests.download.bringing import bring, stored
from tablesnap.store.memory import MemoryStore
store = MemoryStore()
fetch = stored(store, "k", b"data", sys.argv[1], owner=(0, 0))
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
[failure] = bring(store, [fetch])
print(failure.why)
"""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)

        done = run_python(program, os.path.join(place, "f"))

        assert done.stdout == "Operation not permitted\n", done.stderr
        assert os.listdir(place) == []


def test_directories_made_for_a_file_are_its_owners(store: MemoryStore, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give a directory to somebody else")

    assert bring(store, [stored(store, "k", DATA, tmp_path / "a" / "b" / "f", owner=(1234, 4321))]) == []

    for path in (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "f"):
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)
    assert tmp_path.stat().st_uid == 0


def test_mode_and_owner_of_1x_are_in_the_objects_metadata(store: MemoryStore, tmp_path: Path) -> None:
    own = f'{{"uid": {os.geteuid()}, "gid": {os.getegid()}, "mode": 33184, "user": "nobody knows whom"}}'
    store.create("k", Content.of(DATA), metadata={"stat": own})

    assert bring(store, [Fetch("k", str(tmp_path / "f"), preserve_from_metadata=True)]) == []

    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


@pytest.mark.parametrize("metadata", [{}, {"stat": "no JSON"}, {"stat": "[]"}, {"stat": '{"uid": 1, "gid": 2}'}])
def test_mode_and_owner_that_are_not_recorded_cannot_be_preserved(
    store: MemoryStore, tmp_path: Path, metadata: dict[str, str]
) -> None:
    store.create("k", Content.of(DATA), metadata=metadata)

    [failure] = bring(store, [Fetch("k", str(tmp_path / "f"), preserve_from_metadata=True)])

    assert failure.why == "its mode and owner are not recorded; leave out --preserve"
    assert list(tmp_path.iterdir()) == []
