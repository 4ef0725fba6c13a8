"""What the daemon says of how it fares: to the log, and to whoever supervises it."""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.daemon.fake_cassandra import Table
from tests.daemon.in_process import ALL_EVENTS, Counting
from tests.daemon.table_points import data_keys, directory_below, held
from tests.stores import Failing
from tests.waiting import wait_until

from tablesnap.daemon.service import Daemon
from tablesnap.daemon.settings import Settings
from tablesnap.daemon.timing import Timing
from tablesnap.errors import StoreRefused, StoreUnavailable
from tablesnap.rules.keys import is_index
from tablesnap.store.memory import MemoryStore
from tablesnap.store.port import Store

OFTEN = Timing(status_every=0.1, report_every=0.1, announce_wait=0.1, stand_still=0.1, quiet=0.1)
DENIED = "access was denied"


@dataclass
class Told:
    """A supervisor that keeps the statuses it was told, and what the daemon's run returned."""

    daemon: Daemon | None = None
    statuses: list[str] = field(default_factory=list)
    returned: list[bool] = field(default_factory=list)

    def ready(self) -> None:
        pass

    def alive(self) -> None:
        pass

    def status(self, spell: Callable[[], str]) -> None:
        self.statuses.append(spell())

    def stopping(self) -> None:
        pass

    def has_heard(self, pattern: str) -> bool:
        return any(re.search(pattern, said) for said in list(self.statuses))


@contextmanager
def told_by(store: Store, *paths: Path, timing: Timing = OFTEN, **settings: object) -> Iterator[Told]:
    """Run a daemon for as long as the block lasts, and be its supervisor."""
    wanted: dict[str, object] = {"recursive": True, "auto_add": True, "backup": True, "events": ALL_EVENTS} | settings
    told = Told()
    daemon = Daemon(
        Settings(paths=tuple(map(str, paths)), node="n", **wanted),  # type: ignore[arg-type] # a test's own keywords
        store,
        Counting(),
        supervisor=told,
        timing=timing,
    )
    thread = threading.Thread(target=lambda: told.returned.append(daemon.run()), daemon=True)
    thread.start()
    try:
        wait_until(lambda: told.has_heard("^watching"), "the daemon to watch")
        yield told
    finally:
        daemon.stop()
        thread.join(60)
        assert not thread.is_alive(), "the daemon did not stop"


def refusing(store: Store, which: Callable[[str], bool]) -> tuple[Failing, threading.Event]:
    """Return a store that refuses these requests until the event is set."""
    mended = threading.Event()

    def fails(request: str) -> Exception | None:
        return StoreRefused(DENIED) if which(request) and not mended.is_set() else None

    return Failing(store, fails), mended


def lines(caplog: pytest.LogCaptureFixture, level: int, pattern: str) -> list[str]:
    """Return what was said at this level, of the lines that match."""
    said = [(one.levelno, one.getMessage()) for one in list(caplog.records)]
    return [message for number, message in said if number == level and re.search(pattern, message)]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="tablesnap")
    return caplog


def test_a_refusal_is_told_again_and_again_with_its_reason_and_what_waits(
    data: Path, said: pytest.LogCaptureFixture
) -> None:
    store, _ = refusing(MemoryStore(), lambda request: request.startswith("create"))
    refused = (
        rf"^the store has refused for \d+ s; waiting to be stored: 1 file \(7 B\), the oldest for \d+ s; "
        rf"last error: {data}/file: {DENIED}$"
    )

    with told_by(store, data) as told:
        (data / "file").write_bytes(b"content")
        wait_until(lambda: len(lines(said, logging.WARNING, refused)) >= 2, "the refusal to be told twice")
        wait_until(
            lambda: told.has_heard(
                rf"^watching 1 directory; the store has refused for \d+ s; waiting to be stored: 1 file.*; "
                rf"last error: {data}/file: {DENIED}"
            ),
            "the status",
        )

    assert len(lines(said, logging.WARNING, f"^failed, and will be tried again: {data}/file: {DENIED}$")) == 1
    assert not lines(said, logging.ERROR, refused)
    assert said.messages[-1].startswith("stopped; waiting to be stored: 1 file (7 B)")
    assert re.search(rf"; the store has refused for \d+ s; last error: {data}/file: {DENIED};", said.messages[-1])
    assert said.records[-1].levelno == logging.ERROR
    assert told.returned == [True]


@pytest.mark.parametrize(
    ("error", "words"),
    [(StoreRefused(DENIED), "the store has refused for"), (StoreUnavailable("no route"), "the store has not answered")],
)
def test_what_lasts_for_long_is_an_error(
    data: Path, said: pytest.LogCaptureFixture, error: Exception, words: str
) -> None:
    store = Failing(MemoryStore(), lambda request: error if request.startswith("create") else None)

    with told_by(store, data, timing=replace(OFTEN, error_after=3.0)):
        (data / "file").write_bytes(b"content")
        wait_until(lambda: lines(said, logging.ERROR, words), "an error")

    assert lines(said, logging.WARNING, words), "it is a warning first"


def test_refused_restore_points_are_told_though_all_files_are_stored(
    data: Path, said: pytest.LogCaptureFixture
) -> None:
    store, _ = refusing(MemoryStore(), lambda request: request.startswith("create") and is_index(request))

    with told_by(store, data) as told:
        (data / "file").write_bytes(b"content")
        wait_until(
            lambda: told.has_heard("the store has refused for .* s; waiting to be written: 1 restore point"),
            "the status",
        )

    assert lines(said, logging.WARNING, f"last error: the restore point of {data}: {DENIED}$")
    assert said.messages[-1].startswith("stopped; waiting to be written: 1 restore point; the store has refused for")
    assert told.returned == [True]


def test_what_is_stored_and_cannot_be_recorded_is_not_called_done(data: Path, said: pytest.LogCaptureFixture) -> None:
    store, _ = refusing(MemoryStore(), lambda request: request.startswith(("list", "level")))

    with told_by(store, data) as told:
        (data / "file").write_bytes(b"content")
        wait_until(lambda: lines(said, logging.INFO, f"^stored {data}/file"), "the upload")
        wait_until(lambda: told.has_heard("the store has refused for"), "the refusal")

    assert lines(said, logging.WARNING, "^the last restore points of 1 directory are not written")
    assert said.messages[-1].startswith(
        "stopped; all files are stored, but not their last restore points; the store has"
    )
    assert told.returned == [True]


def test_a_refusal_that_ends_is_told_and_so_is_that_all_is_stored(data: Path, said: pytest.LogCaptureFixture) -> None:
    store, mended = refusing(MemoryStore(), lambda request: request.startswith("create"))

    with told_by(store, data) as told:
        (data / "file").write_bytes(b"content")
        wait_until(lambda: lines(said, logging.WARNING, "^the store has refused"), "the refusal")
        mended.set()
        wait_until(lambda: lines(said, logging.INFO, "^all files are stored$"), "the end")

    assert lines(said, logging.INFO, f"^nothing fails any more; {data}/file did for")
    assert said.messages[-1] == "stopped; nothing is pending"
    assert told.returned == [False]


def test_files_found_at_start_wait_though_the_store_was_never_reached(
    data: Path, said: pytest.LogCaptureFixture
) -> None:
    (data / "file").write_bytes(b"content")
    table = Table(directory_below(data))
    table.flush()
    store = Failing(MemoryStore(), lambda _: StoreUnavailable("no route"))

    with told_by(store, data) as told:
        wait_until(lambda: told.has_heard("the store has not answered for"), "the outage")
        wait_until(lambda: told.has_heard("; waiting to be stored or compared: 9 files"), "what was found")
        table.flush()
        wait_until(lambda: told.has_heard("; waiting to be stored or compared: 17 files"), "what came meanwhile")

    assert not told.has_heard("nothing waits"), "not even once"
    assert said.messages[-1].startswith("stopped; waiting to be stored or compared: 17 files")
    assert said.messages[-1].endswith("last error: no route; start again with -B to store all of them")
    assert told.returned == [True]


def test_a_store_that_leaves_the_first_question_unanswered_is_away(data: Path, said: pytest.LogCaptureFixture) -> None:
    (data / "file").write_bytes(b"content")

    with (
        held(MemoryStore(), lambda request: request == "check") as silent,
        told_by(silent, data, timing=replace(OFTEN, first_answer=0.5)) as told,
    ):
        wait_until(
            lambda: lines(said, logging.WARNING, "^the store has not answered .* error: no answer since the start$"),
            "the outage",
        )

    assert told.returned == [True]
    assert said.messages[-1].startswith("stopped; waiting to be stored or compared: 1 file (7 B)")


def test_a_stop_before_the_store_had_time_to_answer_is_no_failure(data: Path, said: pytest.LogCaptureFixture) -> None:
    (data / "file").write_bytes(b"content")

    with (
        held(MemoryStore(), lambda request: request == "check") as silent,
        told_by(silent, data, timing=replace(OFTEN, first_answer=600.0)) as told,
    ):
        pass

    assert told.returned == [False]
    assert said.messages[-1].startswith("stopped; waiting to be stored or compared: 1 file (7 B)")


def test_what_was_found_waits_no_longer_once_it_is_stored(data: Path, said: pytest.LogCaptureFixture) -> None:
    (data / "file").write_bytes(b"content")
    table = Table(directory_below(data))
    table.flush()
    away = threading.Event()
    away.set()
    store = Failing(MemoryStore(), lambda _: StoreUnavailable("no route") if away.is_set() else None)

    with told_by(store, data) as told:
        wait_until(lambda: told.has_heard("the store has not answered for"), "the outage")
        away.clear()
        wait_until(lambda: lines(said, logging.INFO, "^all files are stored$"), "the backlog's end")
        wait_until(lambda: told.statuses[-1] == "watching 3 directories; nothing waits to be stored", "the status")

    assert said.messages[-1] == "stopped; nothing is pending"
    last = max(number for number, message in enumerate(said.messages) if message.startswith("stored "))
    assert last < said.messages.index("all files are stored")


def test_what_nobody_asked_for_is_not_called_stored(data: Path, said: pytest.LogCaptureFixture) -> None:
    (data / "file").write_bytes(b"content")
    table = Table(directory_below(data))
    table.flush()
    store = MemoryStore()
    with told_by(store, data / "ks"):
        wait_until(lambda: len(data_keys(store)) == 8, "the table to be stored")

    with told_by(store, data, backup=False):
        wait_until(
            lambda: lines(
                said,
                logging.INFO,
                "^all files are stored, but 1 file left unprotected, because -B was not given$",
            ),
            "the exception",
        )


def test_each_restore_point_is_told_with_its_table_its_moment_and_its_size(
    data: Path, said: pytest.LogCaptureFixture
) -> None:
    table = Table(directory_below(data))
    table.flush(size=5000)
    name = "/".join(table.directories[0].parts[-2:])

    with told_by(MemoryStore(), data):
        wait_until(
            lambda: lines(
                said, logging.INFO, rf"^recorded {name} as of 20\d\d-\d\d-\d\dT[0-9:.]+Z \(8 files, 5\.\d KiB\)$"
            ),
            "the restore point",
        )


def test_of_many_restore_points_at_once_the_sum_is_told(data: Path, said: pytest.LogCaptureFixture) -> None:
    for number in range(40):
        directory = data / str(number)
        directory.mkdir()
        (directory / "file").write_bytes(b"content")

    with told_by(MemoryStore(), data, timing=replace(OFTEN, announce_every=2.0)):
        wait_until(lambda: _recorded(said) >= 40, "all restore points to be told")

    assert any(" restore points, as of moments from " in message for message in said.messages)


def _recorded(said: pytest.LogCaptureFixture) -> int:
    summed = sum(int(line.split()[1]) for line in lines(said, logging.INFO, r"^recorded \d+ restore points, as of"))
    return summed + len(lines(said, logging.INFO, r"^recorded /.* as of "))


def test_now_and_then_it_is_told_what_was_done(data: Path, said: pytest.LogCaptureFixture) -> None:
    done = r"^in the last \d+ s: stored 1 file \(7 B\), recorded \d restore points?; nothing waits to be stored$"

    with told_by(MemoryStore(), data, timing=replace(OFTEN, summary_every=1.0)):
        (data / "file").write_bytes(b"content")
        wait_until(lambda: lines(said, logging.INFO, done), "the summary")


def test_the_words_that_the_guide_has_operators_search_for_are_those_of_the_log() -> None:
    root = Path(__file__).parents[2]
    section = (root / "docs/guide/operations.md").read_text().partition("## Reading the log")[2].partition("\n## ")[0]
    source = "".join(path.read_text() for path in sorted((root / "src").rglob("*.py")))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # a line that is broken in two

    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    words = [word.strip() for row in rows for phrase in re.findall("`([^`]+)`", row) for word in phrase.split("…")]

    assert len(words) > 20
    assert [word for word in words if word not in source] == []
