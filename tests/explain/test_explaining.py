"""Of each file is said whether it is protected, and why; and nothing is changed by asking."""

import os
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.daemon.harness import sstable
from tests.daemon.in_process import running
from tests.stores import Around
from tests.waiting import wait_until

from tablesnap.capture.listing import look_at_file
from tablesnap.catalog.catalog import Catalog
from tablesnap.errors import StoreUnavailable
from tablesnap.explain.explaining import Explainer
from tablesnap.explain.explanations import State
from tablesnap.live.look import fingerprint_of
from tablesnap.rules import sstable as names_of
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Index, Owner, StoredFile
from tablesnap.rules.index_parts import join
from tablesnap.rules.keys import Keys
from tablesnap.rules.selection import Selection
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Store

KEYS = Keys("", "n", ":")
MOMENT = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
ID = "5d1c3f20c4f211f0a1b2c3d4e5f60718"
LOG = "nb_txn_compaction_8a3c2f10-1111-11ee-8c99-0242ac120002.log"


@pytest.fixture
def table(data: Path) -> Path:
    directory = data / "shop" / f"orders-{ID}"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def write(directory: Path, *generations: int) -> None:
    for generation in generations:
        for path, content in sstable(directory, generation).items():
            path.write_bytes(content)


def stem(generation: int) -> str:
    return f"nb-{generation}-big-"


def log_of(added: Collection[Path], removed: Collection[Path], *, ended: str = "") -> bytes:
    """A transaction log as Cassandra writes it."""
    lines = []
    for kind, path in [("ADD", f"{path}") for path in added] + [("REMOVE", f"{path}") for path in removed]:
        checksum = zlib.crc32(path.encode() + kind.encode() + bytes(11) + b"\x08")
        lines.append(f"{kind}:[{path},0,8][{checksum}]\n")
    if ended:
        lines.append(f"{ended}:[,0,0][{zlib.crc32(ended.encode() + bytes(12))}]\n")
    return "".join(lines).encode()


def live_in(*directories: Path) -> dict[tuple[str, str], dict[str, Incarnation]]:
    """Everything in these directories, as a look that finds no transaction sees it."""
    live: dict[tuple[str, str], dict[str, Incarnation]] = {}
    for directory in directories:
        for path in directory.glob("*-*-*-*.*"):
            component = names_of.parse(path.name)
            here = look_at_file(str(path))
            assert component is not None
            assert here is not None
            live.setdefault((str(directory), component.stem), {})[path.name] = here
    return live


def part(
    directory: Path, paths: Collection[Path], *, live: str = "", missing: tuple[str, ...] = (), pending: str = ""
) -> Index:
    """The index that names *paths*, which are in *directory*, as they are now."""
    files = {}
    for path in sorted(paths):
        status = path.stat()
        key = KEYS.plain(str(path))
        files[path.name] = StoredFile(key, status.st_size, 1, status.st_mtime_ns, 0o644, Owner(0, 0))
    return Index(
        directory=str(directory),
        names=tuple(files),
        files=files,
        missing=missing,
        pending=(pending,) if pending else (),
        node="n",
        taken_at=MOMENT,
        seen_at=MOMENT,
        live=live,
    )


def record(store: Store, *indexes: Index) -> None:
    Catalog(store, KEYS).write_restore_point((join(indexes), *indexes[1:]) if len(indexes) > 1 else indexes)


def explainer(store: Store | None, *paths: Path, selection: Selection | None = None) -> Explainer:
    return Explainer(tuple(map(str, paths)), avoid=(), selection=selection or Selection(), keys=KEYS, store=store)


def explain(
    store: Store | None, *paths: Path, selection: Selection | None = None
) -> dict[str, tuple[State, str, bool]]:
    """Return what is said, by the file's own name."""
    found = explainer(store, *paths, selection=selection).explain()
    assert [one.path for one in found] == sorted(one.path for one in found)
    return {os.path.basename(one.path): (one.state, one.why, one.live) for one in found}


def states(found: Mapping[str, tuple[State, str, bool]], generation: int) -> set[State]:
    return {state for name, (state, _, _) in found.items() if name.startswith(stem(generation))}


def whys(found: Mapping[str, tuple[State, str, bool]], generation: int) -> str:
    [why] = {why for name, (_, why, _) in found.items() if name.startswith(stem(generation))}
    return why


def test_what_the_newest_restore_point_names_is_protected_and_what_is_not_in_it_pending(
    table: Path, data: Path, store: MemoryStore
) -> None:
    write(table, 1)
    record(store, part(table, list(table.iterdir())))
    write(table, 2)

    found = explain(store, data)

    assert states(found, 1) == {State.PROTECTED}
    assert whys(found, 1) == "in the newest restore point, taken 2026-11-24T12:30:00Z"
    assert states(found, 2) == {State.PENDING}
    assert "not in the newest restore point" in whys(found, 2)
    assert all(live for _, _, live in found.values())


def test_before_the_first_restore_point_everything_is_pending(table: Path, data: Path, store: MemoryStore) -> None:
    write(table, 1)

    assert "no restore point" in whys(explain(store, data), 1)


def test_what_an_open_transaction_writes_is_not_live_and_says_which(table: Path, store: MemoryStore) -> None:
    write(table, 1, 2)
    (table / LOG).write_bytes(log_of([table / stem(2)], [table / stem(1)]))

    found = explain(store, table)

    assert states(found, 2) == {State.NOT_LIVE}
    assert whys(found, 2) == f"its transaction has not committed, {LOG}"
    assert states(found, 1) == {State.PENDING}
    assert found[LOG] == (State.NOT_LIVE, "a transaction log, which is read and never stored", False)
    assert {name for name, (_, _, live) in found.items() if live} == {path.name for path in sstable(table, 1)}


def test_what_a_committed_compaction_replaced_is_not_live(table: Path, store: MemoryStore) -> None:
    write(table, 1, 2)
    record(store, part(table, list(table.glob("nb-1-*"))))
    (table / LOG).write_bytes(log_of([table / stem(2)], [table / stem(1)], ended="COMMIT"))

    found = explain(store, table)

    assert states(found, 1) == {State.NOT_LIVE}
    assert whys(found, 1) == f"replaced by a transaction that has committed, {LOG}"
    assert states(found, 2) == {State.PENDING}


def test_what_an_aborted_transaction_wrote_is_not_live(table: Path, store: MemoryStore) -> None:
    write(table, 2)
    (table / LOG).write_bytes(log_of([table / stem(2)], [], ended="ABORT"))

    assert whys(explain(store, table), 2) == f"its transaction was undone, {LOG}"


def test_what_is_of_a_directory_that_a_link_leads_to_is_known_to_its_transactions(
    table: Path, tmp_path: Path, store: MemoryStore
) -> None:
    write(table, 2)
    (table / LOG).write_bytes(log_of([table / stem(2)], []))
    (tmp_path / "link").symlink_to(table.parent)

    assert states(explain(store, tmp_path / "link"), 2) == {State.NOT_LIVE}


def test_compaction_output_is_protected_by_what_it_was_made_of_while_nothing_else_is_live(
    table: Path, store: MemoryStore
) -> None:
    write(table, 1)
    inputs = part(table, list(table.iterdir()))
    for path in sstable(table, 1):
        path.unlink()
    write(table, 2)
    record(store, replace(inputs, live=fingerprint_of(live_in(table))))

    found = explain(store, table)

    assert states(found, 2) == {State.PROTECTED}
    assert whys(found, 2).startswith("made of sstables that are in the newest restore point")


def test_what_came_since_the_store_was_told_what_is_live_may_be_either(table: Path, store: MemoryStore) -> None:
    write(table, 1)
    record(store, part(table, list(table.iterdir()), live=fingerprint_of(live_in(table))))
    write(table, 2)

    found = explain(store, table)

    assert states(found, 1) == {State.PROTECTED}
    assert states(found, 2) == {State.UNKNOWN}


def test_a_table_in_several_directories_has_one_restore_point(data: Path, tmp_path: Path, store: MemoryStore) -> None:
    first, second = (root / "shop" / f"orders-{ID}" for root in (data, tmp_path / "data2"))
    for number, directory in enumerate((first, second), start=1):
        directory.mkdir(parents=True)
        write(directory, number)
    live = fingerprint_of(live_in(first, second))
    record(store, part(first, list(first.iterdir()), live=live), part(second, []))

    found = explain(store, second)  # of the other nothing was asked

    assert found.keys() == {path.name for path in second.iterdir()}
    assert states(found, 2) == {State.PROTECTED}


def test_a_rewritten_component_is_pending_and_the_rest_of_its_sstable_protected(
    table: Path, store: MemoryStore
) -> None:
    write(table, 1)
    record(store, part(table, list(table.iterdir())))
    (table / f"{stem(1)}Statistics.db").write_bytes(b"another level")
    (table / f"{stem(1)}SAI+aa+Meta.db").write_bytes(b"a new index")

    found = explain(store, table)

    pending = {name: why for name, (state, why, _) in found.items() if state is State.PENDING}
    assert pending.keys() == {f"{stem(1)}Statistics.db", f"{stem(1)}SAI+aa+Meta.db"}
    assert pending[f"{stem(1)}Statistics.db"].startswith("rewritten since")
    assert pending[f"{stem(1)}SAI+aa+Meta.db"].startswith("added to its sstable since")


def test_another_sstable_under_an_old_name_is_not_taken_for_the_one_that_is_stored(
    table: Path, store: MemoryStore
) -> None:
    write(table, 1)
    record(store, part(table, list(table.iterdir())))
    for path, content in sstable(table, 1, salt=b"again").items():
        path.unlink()
        path.write_bytes(content)

    found = explain(store, table)

    assert states(found, 1) == {State.PENDING}
    assert whys(found, 1).startswith("another sstable had its name")


def test_what_the_newest_index_names_as_missing_says_whether_it_was_on_its_way(table: Path, store: MemoryStore) -> None:
    write(table, 1, 2, 3)
    missing = tuple(path.name for generation in (2, 3) for path in sstable(table, generation))
    index = part(table, list(table.glob("nb-1-*")), missing=missing, pending=f"{stem(2)}Data.db")
    record(store, index)

    found = explain(store, table)

    assert found[f"{stem(2)}Data.db"][1].endswith(", which is not complete yet; it was on its way")
    assert states(found, 2) == states(found, 3) == {State.PENDING}
    assert "start with -B" in found[f"{stem(3)}Data.db"][1]
    assert states(found, 1) == {State.PROTECTED}


def test_an_sstable_that_is_not_complete_is_unknown(table: Path, store: MemoryStore) -> None:
    write(table, 1)
    (table / f"{stem(1)}Statistics.db").unlink()

    found = explain(store, table)

    assert states(found, 1) == {State.UNKNOWN}
    assert not any(live for _, _, live in found.values())


@pytest.mark.parametrize(
    ("selection", "why"),
    [
        (Selection(exclude=(re.compile("/nowhere/"), re.compile(r"/shop/"))), "by -e /shop/"),
        (Selection(include=(re.compile("/elsewhere/"),)), "matched by no -i"),
    ],
)
def test_what_the_operator_leaves_out_is_excluded_and_live_all_the_same(
    table: Path, store: MemoryStore, selection: Selection, why: str
) -> None:
    write(table, 1)

    found = explain(store, table, selection=selection)

    assert set(found.values()) == {(State.EXCLUDED, why, True)}


def test_temporary_names_locks_and_links_are_never_protected(data: Path, store: MemoryStore) -> None:
    for name in ("nb-1-big-Statistics.db.tmp", "8a3c2f10-1111-11ee-8c99-0242ac120002.lockfile", "notes-tmp.txt"):
        (data / name).touch()
    (data / "link").symlink_to("notes-tmp.txt")

    found = explain(store, data)

    assert {name: state for name, (state, _, _) in found.items()} == {
        "nb-1-big-Statistics.db.tmp": State.NOT_LIVE,
        "8a3c2f10-1111-11ee-8c99-0242ac120002.lockfile": State.NOT_LIVE,
        "notes-tmp.txt": State.EXCLUDED,
        "link": State.EXCLUDED,
    }


def test_what_a_link_leads_to_is_explained_under_the_path_of_the_link(
    data: Path, table: Path, tmp_path: Path, store: MemoryStore
) -> None:
    write(table, 1)
    table.rename(tmp_path / "elsewhere")
    table.symlink_to(tmp_path / "elsewhere")

    found = explain(store, data)

    assert states(found, 1) == {State.PENDING}


def test_a_link_to_what_is_not_there_hides_what_nobody_knows(data: Path, table: Path, store: MemoryStore) -> None:
    table.rmdir()
    table.symlink_to(data / "not mounted")

    (found,) = explain(store, data).values()

    assert found == (State.UNKNOWN, "a symbolic link to what is not there; is something not mounted?", False)


def test_a_link_that_is_not_followed_says_why(data: Path, table: Path, store: MemoryStore) -> None:
    (data / "up").symlink_to("..")
    (data / "again").symlink_to("shop")

    found = explain(store, data)

    assert found["up"][:2] == (
        State.UNKNOWN,
        f"a symbolic link, which is not followed: {data} is in the directory that it leads to",
    )
    assert found["again"][0] is State.EXCLUDED
    assert f"it is the same directory as {data / 'shop'}, and backed up by that name" in found["again"][1]


@pytest.mark.parametrize(("recorded", "expected"), [([], "a"), (["b"], "b"), (["a", "b"], "a")])
def test_of_two_links_to_one_directory_the_one_that_the_store_knows_is_explained(
    data: Path, tmp_path: Path, store: MemoryStore, recorded: list[str], expected: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("a", "b"):
        (data / name).symlink_to(tmp_path / "elsewhere")
    write(data / "a", 1)
    for name in recorded:
        record(store, part(data / name, list((data / name).iterdir())))

    found = [one for one in explainer(store, data).explain() if one.state is not State.EXCLUDED]

    assert {os.path.dirname(one.path) for one in found} == {str(data / expected)}


def test_snapshots_and_backups_of_a_table_are_left_out_with_all_below_them(table: Path, store: MemoryStore) -> None:
    write(table, 1)
    below = table / "snapshots" / "monday" / ".by_name"
    below.mkdir(parents=True)
    (below / "nb-7-big-Data.db").touch()
    (below.parent / "manifest.json").touch()

    found = explain(store, table)

    assert found["nb-7-big-Data.db"][0] is State.EXCLUDED
    assert found["manifest.json"][0] is State.EXCLUDED
    assert states(found, 1) == {State.PENDING}


def test_snapshots_and_backups_are_explained_where_path_or_an_include_names_them(
    table: Path, store: MemoryStore
) -> None:
    write(table, 1)
    (table / "backups").mkdir()
    (table / "backups" / "nb-7-big-Data.db").touch()

    by_path = explain(store, table / "backups")
    by_include = explain(store, table, selection=Selection(include=(re.compile("/backups/"),)))

    assert by_path["nb-7-big-Data.db"][0] is State.PENDING
    assert by_include["nb-7-big-Data.db"][0] is State.PENDING
    assert states(by_include, 1) == {State.EXCLUDED}


def test_what_2_x_and_scylla_have_is_explained_by_its_listing(data: Path, store: MemoryStore) -> None:
    for name in ("ks-t-ka-1-Data.db", "ks-t-tmp-ka-2-Data.db"):
        (data / name).touch()
    record(store, part(data, [data / "ks-t-ka-1-Data.db"]))

    found = explain(store, data)

    assert found["ks-t-ka-1-Data.db"][0] is State.PROTECTED
    assert found["ks-t-tmp-ka-2-Data.db"][0] is State.NOT_LIVE


def test_what_scylla_is_still_writing_is_not_live(data: Path, store: MemoryStore) -> None:
    for name in (
        "me-1-big-Data.db",
        "me-1-big-Scylla.db",
        "me-2-big-Data.db",
        "me-2-big-Scylla.db",
        "me-2-big-TOC.txt",
    ):
        (data / name).touch()

    found = explain(store, data)

    assert {name for name, (state, _, _) in found.items() if state is State.NOT_LIVE} == {
        "me-1-big-Data.db",
        "me-1-big-Scylla.db",
    }


def test_the_first_sstable_of_a_table_of_scyllas_is_not_live_while_it_is_written(
    data: Path, store: MemoryStore
) -> None:
    for name in ("me-1-big-TOC.txt.tmp", "me-1-big-Data.db"):
        (data / name).touch()

    assert explain(store, data)["me-1-big-Data.db"][:2] == (
        State.NOT_LIVE,
        "Scylla is still writing its sstable: there is no TOC.txt",
    )


def test_an_ordinary_file_that_changed_is_pending(data: Path, store: MemoryStore) -> None:
    (data / "a").write_bytes(b"1")
    record(store, part(data, [data / "a"]))
    (data / "a").write_bytes(b"22")

    assert explain(store, data)["a"][:2] == (
        State.PENDING,
        "changed since the newest restore point, taken 2026-11-24T12:30:00Z",
    )


def test_one_file_may_be_asked_about_and_nothing_else_is_said(table: Path, store: MemoryStore) -> None:
    write(table, 1)

    assert explain(store, table / f"{stem(1)}Data.db", table / "gone").keys() == {f"{stem(1)}Data.db", "gone"}
    assert explain(store, table / "gone")["gone"][0] is State.UNKNOWN


def test_without_a_store_is_said_what_would_be_done_and_that_it_was_not_asked(table: Path) -> None:
    write(table, 1)
    (table / LOG).write_bytes(log_of([], []))

    found = explain(None, table)

    assert states(found, 1) == {State.UNKNOWN}
    assert "the store was not asked" in whys(found, 1)
    assert all(live for name, (_, _, live) in found.items() if name != LOG)
    assert found[LOG][0] is State.NOT_LIVE


def test_an_index_that_cannot_be_read_leaves_its_directory_unknown(table: Path, store: MemoryStore) -> None:
    write(table, 1)
    store.create(f"{KEYS.below(str(table))}nb-1-big-Data.db-listdir.json", Content.of(b"{"))

    assert "cannot be read" in whys(explain(store, table), 1)


def test_an_index_of_1_x_does_not_say_what_was_stored(table: Path, store: MemoryStore) -> None:
    write(table, 1)
    (table / "later").touch()
    body = f'{{"{table}": {[path.name for path in sstable(table, 1)]}}}'.replace("'", '"').encode()
    store.create(f"{KEYS.below(str(table))}nb-1-big-Data.db-listdir.json", Content.of(body))

    found = explain(store, table)

    assert states(found, 1) == {State.UNKNOWN}
    assert found["later"][0] is State.PENDING


def test_a_store_that_does_not_answer_is_an_error_and_not_an_answer(table: Path, store: MemoryStore) -> None:
    write(table, 1)

    class Away(Around):
        def before(self, request: str) -> None:
            raise StoreUnavailable(f"{request}: nobody answers")

    with pytest.raises(StoreUnavailable):
        explain(Away(store), table)


def test_beside_a_daemon_that_runs_it_asks_only_and_agrees_with_it(data: Path, table: Path, store: MemoryStore) -> None:
    write(table, 1)
    asking = Around(store)

    with running(store, data, backup=True):
        wait_until(lambda: {one for one, _, _ in explain(store, data).values()} == {State.PROTECTED}, "protection")
        before = {path: path.stat() for path in data.rglob("*")}
        found = explain(asking, data)
        after = {path: path.stat() for path in data.rglob("*")}

    assert states(found, 1) == {State.PROTECTED}
    assert {request.split()[0] for request in asking.requests} == {"list", "read"}
    assert [one.st_mtime_ns for one in before.values()] == [one.st_mtime_ns for one in after.values()]
