"""A daemon whose newest indexes nobody of ours wrote goes on, and records what is there."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.daemon.fake_cassandra import Table
from tests.daemon.in_process import below
from tests.daemon.table_points import directory_below, following, wait_for_live
from tests.examples import examples
from tests.fuzz.documents import BELOW, DIRECTORY, texts
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


def insist_it_goes_on(data: Path, bodies: Mapping[str, Callable[[Path, datetime], bytes]]) -> None:
    """Have a daemon store a table of each name, plant what is made for it as its newest index, and start another."""
    store, planted = MemoryStore(), set[str]()
    tables = {name: Table(directory_below(data, name)) for name in bodies}
    ours = Ours(store, planted)
    with following(store, *tables.values()):
        for table in tables.values():
            table.flush()
            wait_for_live(ours, table)
    now = datetime.now(UTC)
    for name, table in tables.items():
        directory = table.directories[0]
        key = f"{below(directory)}~{now:%Y%m%dT%H%M%S%fZ}-listdir.json"
        store.create(key, Content.of(bodies[name](directory, now)))
        planted.add(key)

    with following(store, *tables.values()) as it:
        for table in tables.values():
            table.flush()
            wait_for_live(ours, table)

        assert it.thread.is_alive()


def test_whatever_the_newest_index_of_a_table_says_the_next_one_is_right(data: Path) -> None:
    def body_of(name: str) -> Callable[[Path, datetime], bytes]:
        return lambda directory, now: index_of(str(directory), below(directory), HOSTILE[name], now)

    insist_it_goes_on(data, {name: body_of(name) for name in HOSTILE})


# Few, as each takes a daemon two times; the harness of `tests.fuzz` reads many more.
@settings(max_examples=examples(3), phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(texts(), min_size=12, max_size=12))
def test_so_it_is_whatever_a_real_or_a_hostile_one_is_changed_to(changed: list[str]) -> None:
    def body_of(text: str) -> Callable[[Path, datetime], bytes]:
        return lambda directory, _: (
            text.replace(BELOW, below(directory)).replace(DIRECTORY, str(directory)).encode("utf-8", "replace")
        )

    with TemporaryDirectory() as data:
        insist_it_goes_on(Path(data), {f"t{number}": body_of(text) for number, text in enumerate(changed)})
