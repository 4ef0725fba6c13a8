"""A daemon whose newest indexes nobody of ours wrote goes on, and records what is there."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.daemon.fake_cassandra import Table
from tests.daemon.in_process import below
from tests.daemon.table_points import directory_below, following, wait_for_live
from tests.hostile import HOSTILE, index_of
from tests.stores import Around

from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Content, Listed


class Ours(Around):
    """A store without what was planted in it."""

    def __init__(self, store: MemoryStore, planted: set[str]) -> None:
        super().__init__(store)
        self._planted = planted

    def list(self, prefix: str) -> Iterator[Listed]:
        return (one for one in super().list(prefix) if one.key not in self._planted)


def test_whatever_the_newest_index_of_a_table_says_the_next_one_is_right(data: Path) -> None:
    store, planted = MemoryStore(), set[str]()
    tables = {name: Table(directory_below(data, name)) for name in HOSTILE}
    ours = Ours(store, planted)
    with following(store, *tables.values()):
        for table in tables.values():
            table.flush()
            wait_for_live(ours, table)
    now = datetime.now(UTC)
    for name, table in tables.items():
        directory = table.directories[0]
        key = f"{below(directory)}~{now:%Y%m%dT%H%M%S%fZ}-listdir.json"
        store.create(key, Content.of(index_of(str(directory), below(directory), HOSTILE[name], now)))
        planted.add(key)

    with following(store, *tables.values()) as it:
        for table in tables.values():
            table.flush()
            wait_for_live(ours, table)

        assert it.thread.is_alive()
