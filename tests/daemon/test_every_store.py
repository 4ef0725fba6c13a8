"""What arrives in each kind of store, as a reader who knows nothing but the documents finds it."""

import grp
import json
import pwd
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.daemon.harness import (
    ALL_EVENTS,
    NODE,
    Bucket,
    StoredObject,
    running,
    sstable,
    write_by_close,
    write_by_link,
    write_by_rename,
)

from tablesnap.checksum import crc64nvme
from tablesnap.rules.keys import is_index

MIB = 1 << 20
WRITERS: tuple[Callable[[Path, bytes], None], ...] = (write_by_rename, write_by_close, write_by_link)
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def test_whatever_is_written_wherever_and_however_is_found_in_the_store(
    faithful_bucket: Bucket, data: Path, log: Path
) -> None:
    bucket = faithful_bucket
    old, before, unrelated = data / "ks" / "old", data / "ks" / "before", data / "ks" / "unrelated"
    for directory in (old, before, unrelated):
        directory.mkdir(parents=True)
    after, new, nested = data / "ks" / "after", data / "ks" / "new", data / "other" / "a" / "b" / "c"

    with running(bucket, "-r", "-a", *ALL_EVENTS, data, log=log) as daemon:
        new.mkdir()
        nested.mkdir(parents=True)
        expected = write_all_sorts(old) | write_all_sorts(new) | write_all_sorts(nested) | write_all_sorts(before)
        daemon.wait_until(lambda: {key_of(path) for path in expected} <= bucket.keys(), "the first files")
        before.rename(after)
        moved = {after / path.name: body for path, body in expected.items() if path.parent == before}
        expected |= moved | write_sstables(after, first=10)
        daemon.wait_until(lambda: {key_of(path) for path in expected} <= bucket.keys(), "the other files")
        for directory in (old, new, nested, after):
            daemon.wait_until(partial(complete_index, bucket, directory), f"an index of {directory} without gaps")

    objects = bucket.objects()
    assert {key: one.body for key, one in objects.items() if not is_index(key)} == {
        key_of(path): body for path, body in expected.items()
    }
    for directory in (old, new, nested, after):
        for path in directory.iterdir():
            insist_on_metadata(objects[key_of(path)], path)
        insist_on_index(complete_index(bucket, directory), directory)
    for one in objects.values():
        if is_index(one.key):
            insist_that_all_it_names_is_stored(one, objects)


def write_all_sorts(directory: Path) -> dict[Path, bytes]:
    """Write sstables, and files that are none, by every writer in turn."""
    others = {
        "empty": b"",
        "with space, +%41#?&=~é.txt": b"odd",
        ".hidden": b"dot",
        f"{directory.name}.log": bytes(range(256)) * (20 << 10),  # 5 MiB, read through its descriptor
    }
    written = write_sstables(directory, first=1)
    for number, (name, body) in enumerate(others.items()):
        WRITERS[number % len(WRITERS)](directory / name, body)
        written[directory / name] = body
    return written


def write_sstables(directory: Path, *, first: int) -> dict[Path, bytes]:
    written = {}
    for generation, write in enumerate(WRITERS, start=first):
        files = sstable(directory, generation)
        for path, body in files.items():
            if path.name == "nb-1-big-Data.db":
                body = body * (5 * MIB // len(body))  # large enough to be mapped instead of read
            write(path, body)
            written[path] = body
    return written


def key_of(path: Path) -> str:
    return f"{NODE}:{path}"


def complete_index(bucket: Bucket, directory: Path) -> StoredObject | None:
    """Return the newest index of *directory*, once it names all that is there."""
    indexes = bucket.objects(lambda key: is_index(key) and key.rpartition("/")[0] == key_of(directory))
    newest = max(indexes.values(), key=lambda one: str(json.loads(one.body)["tablesnap"]["taken_at"]), default=None)
    if newest is None:
        return None
    here = {path.name for path in directory.iterdir()}
    ours = json.loads(newest.body)["tablesnap"]
    return newest if here == ours["files"].keys() and ours["missing"] == [] else None


def insist_on_metadata(one: StoredObject, path: Path) -> None:
    status = path.stat()
    assert one.content_type == "application/octet-stream"
    assert one.metadata.keys() == {"stat"}
    assert json.loads(one.metadata["stat"]) == {
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mode": status.st_mode,
        "user": pwd.getpwuid(status.st_uid).pw_name,
        "group": grp.getgrgid(status.st_gid).gr_name,
    }


def insist_on_index(one: StoredObject | None, directory: Path) -> None:
    assert one is not None
    assert one.content_type == "application/json"
    assert one.metadata == {}
    newest = max(directory.glob("*-Data.db"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    assert re.fullmatch(re.escape(key_of(newest)) + r"(~\d{8}T\d{12}Z)?-listdir\.json", one.key)
    document = json.loads(one.body)
    assert list(document) == [str(directory), "tablesnap"]
    ours = document["tablesnap"]
    assert sorted(document[str(directory)]) == sorted(ours["files"])
    assert (ours["format"], ours["node"], ours["missing"], ours["next"]) == (2, NODE, [], [])
    assert re.fullmatch(MOMENT, ours["taken_at"])
    assert re.fullmatch(MOMENT, ours["seen_at"])
    assert re.fullmatch(r"[0-9a-f]{32}", ours["live"])
    for name, (size, checksum, mtime_ns, mode, owner) in ours["files"].items():
        path = directory / name
        status = path.stat()
        assert (size, mtime_ns, mode) == (status.st_size, status.st_mtime_ns, status.st_mode)
        assert int(checksum, 16) == crc64nvme(path.read_bytes())
        assert ours["owners"][owner][:2] == [status.st_uid, status.st_gid]


def insist_that_all_it_names_is_stored(index: StoredObject, objects: dict[str, StoredObject]) -> None:
    directory_key = index.key[: index.key.rindex("/") + 1]
    for name, (size, checksum, _, _, _, *key) in json.loads(index.body)["tablesnap"]["files"].items():
        body = objects[key[0] if key else directory_key + name].body
        assert (len(body), crc64nvme(body)) == (size, int(checksum, 16))
