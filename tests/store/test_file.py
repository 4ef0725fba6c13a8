import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablesnap.checksum import crc64nvme
from tablesnap.errors import AlreadyStored, StoreRefused, StoreUnavailable
from tablesnap.store.file import FileStore
from tablesnap.store.memory import MemoryStore
from tablesnap.store.naming import INCOMING, PRIVATE, is_ordinary, key_of_odd_path, odd_path
from tablesnap.store.port import Content, Store

KEY = "node1:/var/lib/cassandra/data/ks/t-1/nb-1-big-Data.db"

# Few letters, so that keys meet: one the folder of another, one the other's odd form, one our own folder.
SEGMENTS = st.one_of(
    st.sampled_from(
        ["", ".", "..", "a", "b", "=a", "+a", "%2F", "a%2Fb", PRIVATE, "odd", "metadata", "x" * 255, "é", "\n"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
KEYS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join)

WRITER = """
import sys
from tablesnap.errors import AlreadyStored
from tablesnap.store.file import FileStore
from tablesnap.store.port import Content

store = FileStore(sys.argv[1])
store.check()
print("ready", flush=True)
number = 0
while True:
    number += 1
    key = f"n{number % 50}:/d{number % 7}/f"
    try:
        store.create(key, Content.of(key.encode() * 20_000), metadata={"stat": key})
    except AlreadyStored:
        store.delete([key])
"""


# Dies at its n-th dealing with a file: audit events come before what they announce.
MORTAL = """
import os, signal, sys
from tablesnap.store.file import FileStore
from tablesnap.store.port import Content

steps_left = int(sys.argv[2])

def step(event, arguments):
    global armed, steps_left
    if armed and event.split(".")[0] in ("open", "os", "fcntl"):
        if steps_left == 0:
            armed = False  # or the kill would be a step itself
            os.kill(os.getpid(), signal.SIGKILL)
        steps_left -= 1

armed = False
sys.addaudithook(step)
store = FileStore(sys.argv[1])
content = Content.of(b"rows")
armed = True
if sys.argv[3] == "create":
    store.create("n:/d/f", content, metadata={"stat": "mine"})
else:
    store.delete(["n:/d/f"])
armed = False
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "store"
    made.mkdir()
    return made


def keys(store: Store) -> list[str]:
    return sorted(listed.key for listed in store.list(""))


def incoming(directory: Path) -> list[Path]:
    return list((directory / INCOMING).iterdir())


def test_an_ordinary_key_is_a_plain_path_that_cp_can_restore(directory: Path) -> None:
    FileStore(str(directory)).create(KEY, Content.of(b"rows"))

    assert (directory / KEY).read_bytes() == b"rows"
    assert {path.name for path in directory.iterdir()} == {"node1:", PRIVATE}


def test_copies_of_a_database_are_not_for_everybody(directory: Path) -> None:
    FileStore(str(directory)).create(KEY, Content.of(b"rows"))

    modes = {path.stat().st_mode & 0o007 for path in directory.rglob("*")}

    assert modes == {0}


@settings(max_examples=150, deadline=None)
@given(st.lists(KEYS, unique=True, max_size=8), KEYS)
def test_any_keys_live_side_by_side_in_a_directory(chosen: list[str], prefix: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        live_side_by_side(FileStore(directory), chosen, prefix)
        left = {path.name for path in Path(directory).iterdir()}

    assert left <= {PRIVATE}  # no empty folders stay behind


@given(st.lists(KEYS, unique=True, max_size=8), KEYS)
def test_any_keys_live_side_by_side_in_memory(chosen: list[str], prefix: str) -> None:
    live_side_by_side(MemoryStore(), chosen, prefix)


def live_side_by_side(store: Store, chosen: list[str], prefix: str) -> None:
    for key in chosen:
        store.create(key, Content.of(key.encode()), metadata={"stat": ascii(key)})
    for key in chosen:
        with pytest.raises(AlreadyStored):
            store.create(key, Content.of(b"other"))

    assert keys(store) == sorted(chosen)
    assert sorted(listed.key for listed in store.list(prefix)) == sorted(
        key for key in chosen if key.startswith(prefix)
    )
    for key in chosen:
        head = store.head(key)
        assert b"".join(store.read(key)) == key.encode()
        assert (head.checksum, head.metadata) == (crc64nvme(key.encode()), {"stat": ascii(key)})
    for number, key in enumerate(chosen, 1):
        store.delete([key])
        assert keys(store) == sorted(chosen[number:])


@given(KEYS)
def test_an_odd_path_leads_back_to_its_key_and_is_itself_no_key_of_the_plain_kind(key: str) -> None:
    path = odd_path(key)

    assert key_of_odd_path(path) == key
    assert not is_ordinary(path)


def dies_at(step: int, directory: Path, deed: str) -> bool:
    done = subprocess.run([sys.executable, "-c", MORTAL, str(directory), str(step), deed], check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


@pytest.mark.parametrize("deed", ["create", "delete"])
def test_whoever_dies_at_any_step_leaves_the_whole_object_or_none(tmp_path: Path, deed: str) -> None:
    step, seen = 0, set()
    while True:
        directory = tmp_path / str(step)
        directory.mkdir()
        store = FileStore(str(directory))
        if deed == "delete":
            store.create("n:/d/f", Content.of(b"rows"), metadata={"stat": "mine"})

        died = dies_at(step, directory, deed)

        found = keys(store)
        seen.add(tuple(found))
        if found:
            head = store.head("n:/d/f")
            assert b"".join(store.read("n:/d/f")) == b"rows"
            assert (head.checksum, head.metadata) == (crc64nvme(b"rows"), {"stat": "mine"})
        store.check()
        assert incoming(directory) == []
        store.delete(["n:/d/f"])
        store.create("n:/d/f", Content.of(b"anew"))
        assert (b"".join(store.read("n:/d/f")), store.head("n:/d/f").metadata) == (b"anew", {})
        if not died:
            break
        step += 1

    assert seen == {(), ("n:/d/f",)}  # it died before and after it counted


@pytest.mark.parametrize("lifetime", range(4))
def test_a_writer_killed_anywhere_leaves_whole_objects_only(directory: Path, lifetime: int) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        killer = threading.Timer(0.01 + 0.05 * lifetime, writer.send_signal, [signal.SIGKILL])
        killer.start()
        writer.wait()

    store = FileStore(str(directory))
    for key in keys(store):
        data, head = b"".join(store.read(key)), store.head(key)
        assert data == key.encode() * 20_000
        assert (head.checksum, head.metadata) == (crc64nvme(data), {"stat": key})
    store.check()
    assert incoming(directory) == []
    for key in [f"n{number}:/d{number % 7}/f" for number in range(50)]:
        store.delete([key])
        store.create(key, Content.of(b"anew"))
        assert store.head(key).metadata == {}


def test_what_a_dead_writer_left_is_swept_and_what_a_live_one_writes_is_not(directory: Path) -> None:
    store = FileStore(str(directory))
    store.check()
    (directory / INCOMING / "left").write_bytes(b"half")
    writing, swept = threading.Event(), threading.Event()

    class Slow(Content):
        def read(self, offset: int, length: int) -> bytes:
            writing.set()
            assert swept.wait(60)
            return super().read(offset, length)

    creation = threading.Thread(
        target=store.create, args=(KEY, Slow(size=4, checksum=crc64nvme(b"rows"), buffer=b"rows"))
    )
    creation.start()
    assert writing.wait(60)

    FileStore(str(directory)).check()
    left = incoming(directory)
    swept.set()
    creation.join()

    assert "left" not in {path.name for path in left}
    assert b"".join(store.read(KEY)) == b"rows"


def test_a_failed_upload_leaves_nothing(directory: Path) -> None:
    store = FileStore(str(directory))
    store.check()

    class Unreadable(Content):
        def read(self, offset: int, length: int) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):  # the file's fault, so not an error of the store
        store.create(KEY, Unreadable(size=4, checksum=0, buffer=b"rows"))

    assert incoming(directory) == []
    assert keys(store) == []


def test_a_folder_or_a_link_where_the_object_belongs_is_not_taken_for_it(directory: Path) -> None:
    store = FileStore(str(directory))
    (directory / "a").mkdir()
    (directory / "b").symlink_to("/etc/hostname")
    os.mkfifo(directory / "c")
    (directory / "d").write_bytes(b"a stranger's")

    for key in ("a", "b", "c", "d/e"):
        store.create(key, Content.of(key.encode()))

    assert keys(store) == ["a", "b", "c", "d", "d/e"]
    assert [b"".join(store.read(key)) for key in ("a", "b", "c", "d/e")] == [b"a", b"b", b"c", b"d/e"]


def test_a_file_put_there_by_hand_is_an_object_of_unknown_checksum(directory: Path) -> None:
    (directory / "by hand").write_bytes(b"rows")
    (directory / os.fsdecode(b"no \xff text")).write_bytes(b"")

    store = FileStore(str(directory))

    assert keys(store) == ["by hand"]
    assert store.head("by hand").checksum is None
    with pytest.raises(AlreadyStored):
        store.create("by hand", Content.of(b""))


def test_a_file_cut_short_on_the_disk_has_no_longer_the_checksum_it_had(directory: Path) -> None:
    store = FileStore(str(directory))
    store.create(KEY, Content.of(b"rows"))

    (directory / KEY).write_bytes(b"ro")

    assert (store.head(KEY).size, store.head(KEY).checksum) == (2, None)


def test_a_directory_that_is_missing_says_how_to_make_it_and_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "missing"

    with pytest.raises(StoreRefused, match=f"mkdir -p {missing}"):
        FileStore(str(missing)).check()

    assert not missing.exists()


def test_a_file_in_place_of_the_directory_is_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")

    with pytest.raises(StoreRefused, match="no directory"):
        FileStore(str(path)).check()


def test_a_mount_that_went_away_is_an_outage_and_nothing_is_written_where_it_was(directory: Path) -> None:
    store = FileStore(str(directory))
    store.create(KEY, Content.of(b"rows"))
    directory.rename(directory.with_name("unmounted"))
    directory.mkdir()  # the empty mount point

    with pytest.raises(StoreUnavailable, match="still mounted"):
        store.create("another", Content.of(b"rows"))

    assert list(directory.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_is_not_ours_to_write_is_a_refusal(directory: Path) -> None:
    directory.chmod(0o500)

    with pytest.raises(StoreRefused, match="who may write"):
        FileStore(str(directory)).check()


def test_a_full_disk_is_an_outage(directory: Path) -> None:
    # A file larger than the process may write fails as a full disk does: in the middle of a write.
    writer = (
        "import resource, signal, sys\n"
        "from tablesnap.errors import StoreUnavailable\n"
        "from tablesnap.store.file import FileStore\n"
        "from tablesnap.store.port import Content\n"
        "store = FileStore(sys.argv[1]); store.check()\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try: store.create('k', Content.of(bytes(1 << 20)))\n"
        "except StoreUnavailable as error: print(error)\n"
    )

    done = subprocess.run([sys.executable, "-c", writer, str(directory)], capture_output=True, text=True, check=True)

    assert "File too large" in done.stdout
    assert incoming(directory) == []
    assert keys(FileStore(str(directory))) == []


def test_two_processes_and_their_deletions_do_not_lose_each_others_folders(directory: Path) -> None:
    stores = [FileStore(str(directory)), FileStore(str(directory))]

    def churn(store: FileStore, name: str) -> None:
        for number in range(100):
            store.create(f"n:/d/{name}", Content.of(str(number).encode()))
            store.delete([f"n:/d/{name}"])

    threads = [threading.Thread(target=churn, args=(store, str(n))) for n, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert keys(stores[0]) == []
    assert {path.name for path in directory.iterdir()} == {PRIVATE}
