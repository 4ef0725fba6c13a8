"""What is read from outside, each with one function that takes bytes: for Hypothesis in the tests, atheris in run.py.

Each lets out nothing but what no reader may raise, and fails where something was believed that cannot be used.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from itertools import pairwise

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from tablesnap.cli.line.moments import is_moment_in_words, moment
from tablesnap.errors import StoreError, TablesnapError, UnreadableIndex
from tablesnap.rules import commitlogs, order, place, sstable, table_name, taken
from tablesnap.rules.column_types import reads, spell_types
from tablesnap.rules.index import FORMAT, Index, encode, names_for_1x, newest_file
from tablesnap.rules.index_decoding import decode
from tablesnap.rules.keys import Keys, beside, directory_of, file_of_index, moment_in, plain_of
from tablesnap.rules.points import RestorePoint, faults, merge, point_of, point_of_1x
from tablesnap.rules.purging import is_ours, is_trustworthy
from tablesnap.rules.sstable_header import UnreadableHeader, read_header
from tablesnap.rules.txnlog import CorruptLog, Outcome, dead, read_log
from tablesnap.store.s3_connection import Connector, S3Options
from tablesnap.store.s3_listing import Lister

NOW = datetime(2026, 11, 22, 20, 25, 17, tzinfo=UTC)
KEY = "node1:/data/ks/t-1/nb-1-big-Data.db-listdir.json"
LONGEST_MESSAGE = 1000  # characters: it becomes a line of the log


def index(body: bytes) -> None:
    """Read an index, and do with it what the commands and the daemon do."""
    try:
        found = decode(body, directory_of(KEY))
    except UnreadableIndex as error:
        _expect_short(error)
        return
    found.keys(directory_of(KEY))
    is_trustworthy(found, KEY)
    names_for_1x(found.files, directory_of(KEY), found)
    if newest := newest_file(found.files):
        taken.to_be_told(found.latest_name, newest.key)
    if found.format == FORMAT:
        # What is read can be written, and is the same.
        assert decode(encode(found, directory_of(KEY)), directory_of(KEY)) == found
    point = _point(found)
    merge([point, replace(point, since=point.stored_at)])
    faults(point, lambda key: None)
    order.serial_of(point.serial, point.seen_at, point.stored_at)
    json.dumps([file.path for file in point.files])


def _point(found: Index) -> RestorePoint:
    return point_of(found, KEY, NOW) if found.format == FORMAT else point_of_1x(found, KEY, NOW, {})


def _expect_short(error: TablesnapError) -> None:
    assert len(str(error)) <= LONGEST_MESSAGE


def name(text: str) -> None:
    """Read the name of a file, a directory or an object, as all do who come upon one.

    It is what a system may call a file: of surrogates it has those that stand for a byte, and no others.
    """
    component = sstable.parse(text)
    if component is not None:
        assert text.startswith(component.stem)
        assert component.component in text
        sstable.has_transactions(component)
    assert bool(sstable.operation_of(text)) == sstable.is_transaction_log(text)
    assert sstable.is_bookkeeping(text) == (sstable.is_transaction_log(text) or sstable.is_lock(text))
    commitlogs.segment_id(text)
    where = place.place_of(text)
    assert place.place_of(f"/elsewhere{text}").copies or not where.copies or not text.startswith("/")
    place.is_scratch(text)
    place.is_within(text, place.tidy(text))
    if (called := table_name.table_name(text)) is not None:
        called.fits(text)
    seen = order.KeysSeen()
    seen.note(text)
    seen.contradicts(NOW, text)
    taken.later_of(text, "nb-1-big-Data.db")
    _key(text)


def _key(text: str) -> None:
    plain = Keys("", "n", ":").plain(text)
    assert plain_of(beside(plain, 7)) == plain_of(beside(plain, 7, NOW)) == plain
    file_of_index(text)
    moment_in(text)
    is_ours(text)


def log(bodies: list[bytes]) -> None:
    """Read a transaction log, of which each data directory has a replica."""
    name = "nb_txn_compaction_0a3c2f10-1111-11ee-8c99-0242ac120002.log"
    try:
        found = read_log(name, bodies)
    except CorruptLog as error:
        _expect_short(error)
        found = error.transaction
        assert found.outcome is Outcome.OPEN
    is_committed = found.outcome is Outcome.COMMITTED
    assert dead([found]) == set(found.removed if is_committed else found.added)
    assert found.kind is not None


def moment_in_words(text: str) -> None:
    """Understand a moment as an operator writes it."""
    is_moment_in_words(text)
    with suppress(TablesnapError):
        assert moment(text, NOW) <= NOW


def header(body: bytes) -> None:
    """Read the header of an sstable, and compare and spell the types in it."""
    try:
        found = read_header(body)
    except UnreadableHeader as error:
        _expect_short(error)
        return
    types = [found.key, *found.clusterings, *(column.type for column in found.columns.values())]
    for one, other in pairwise(types):
        types_of_columns(one, other)


def types_of_columns(one: str, other: str) -> None:
    """Compare two types, and spell them for an error."""
    assert reads(one, one, ordered=True)
    assert reads(one, other) or not reads(one, other, ordered=True)
    assert all(len(spelt) <= 203 for spelt in spell_types(one, other))


def listing(body: bytes) -> None:
    """List a bucket, of which a server answers *body* to the first question and nothing to the second."""
    with suppress(StoreError):
        for one in _bucket(body).list("n:/"):
            assert one.key.startswith("n:/")
            assert one.modified.utcoffset() == timedelta(0)


def _bucket(body: bytes) -> Lister:
    connector = _connector()
    answers = [body]

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        text = answers.pop() if answers else b""
        return AWSResponse(request.url, 200 if text else 500, {"Content-Type": "application/xml"}, _Body(text))

    events = connector.connected().client.meta.events
    events.unregister("before-send.s3", unique_id="answer")
    events.register("before-send.s3", answer, unique_id="answer")
    return Lister("b", connector)


@cache
def _connector() -> Connector:
    """Return what would reach a server if anything were sent, and asks none again."""
    connector = Connector("b", S3Options("key", "secret", endpoint_url="http://127.0.0.1:1", region="us-east-1"))
    connector.connected().client.meta.events.unregister("needs-retry.s3", unique_id="retry-config-s3")
    return connector


class _Body(BytesIO):
    """A body as urllib3 hands it out."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()
