"""Transaction logs are read as Cassandra reads them, and never guessed at."""

import zlib
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablesnap.rules.txnlog import CorruptLog, Kind, Outcome, Prefix, Transaction, dead, read_log

LOG_ID = "0a3c2f10-1111-11ee-8c99-0242ac120002"
COMPACTION = f"nb_txn_compaction_{LOG_ID}.log"
TABLE = "/var/lib/cassandra/data/ks/t-0a3c2f10111111ee8c990242ac120002"
DISK_2 = "/mnt/disk2/ks/t-0a3c2f10111111ee8c990242ac120002"

COMMIT = b"COMMIT:[,0,0][2613697770]\n"
ABORT = b"ABORT:[,0,0][737437348]\n"


def record(kind: str, path: str, *, updated: int = 0, files: int = 8) -> bytes:
    """Spell a line, as Cassandra does."""
    numbers = (updated & 0xFFFFFFFF, updated >> 32 & 0xFFFFFFFF, files)
    checksum = zlib.crc32(path.encode() + kind.encode() + b"".join(number.to_bytes(4) for number in numbers))
    return f"{kind}:[{path},{updated},{files}][{checksum}]\n".encode()


def add(path: str) -> bytes:
    return record("ADD", path, files=0)


def remove(path: str) -> bytes:
    return record("REMOVE", path, updated=1_700_000_000_123)


ADD_3 = add(f"{TABLE}/nb-3-big-")
REMOVE_1 = remove(f"{TABLE}/nb-1-big-")
REMOVE_2 = remove(f"{TABLE}/nb-2-big-")
COMMITTED = ADD_3 + REMOVE_1 + REMOVE_2 + COMMIT


def read(*bodies: bytes, name: str = COMPACTION) -> Transaction:
    return read_log(name, bodies)


# Lines that Cassandra 5.0.6 itself computed.


@pytest.mark.parametrize(
    ("line", "added", "removed", "outcome"),
    [
        (
            "ADD:[/var/lib/cassandra/data/ks/t-0a3c2f10111111ee8c990242ac120002/nb-3-big-,0,8][1557404253]",
            ((TABLE, "nb-3-big-"),),
            (),
            Outcome.OPEN,
        ),
        (
            "ADD:[/données/ks/t-0a3c2f10111111ee8c990242ac120002/da-3fw2_0tj4_46w3k2cpidnirvjy7k-bti-,0,0][1810797717]",
            (("/données/ks/t-0a3c2f10111111ee8c990242ac120002", "da-3fw2_0tj4_46w3k2cpidnirvjy7k-bti-"),),
            (),
            Outcome.OPEN,
        ),
        (
            "REMOVE:[/var/lib/cassandra/data/ks/t-0a3c2f10111111ee8c990242ac120002/nb-1-big-,1700000000123,8][251443667]",
            (),
            ((TABLE, "nb-1-big-"),),
            Outcome.OPEN,
        ),
        ("COMMIT:[,0,0][2613697770]", (), (), Outcome.COMMITTED),
        ("ABORT:[,0,0][737437348]", (), (), Outcome.ABORTED),
    ],
)
def test_a_line_with_the_checksum_cassandra_gave_it_is_believed(
    line: str, added: tuple[Prefix, ...], removed: tuple[Prefix, ...], outcome: Outcome
) -> None:
    transaction = read(line.encode())

    assert (transaction.added, transaction.removed, transaction.outcome) == (added, removed, outcome)


def test_a_committed_compaction_says_what_came_and_what_went() -> None:
    transaction = read(COMMITTED)

    assert transaction == Transaction(
        name=COMPACTION,
        operation="compaction",
        outcome=Outcome.COMMITTED,
        added=((TABLE, "nb-3-big-"),),
        removed=((TABLE, "nb-1-big-"), (TABLE, "nb-2-big-")),
    )


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", Outcome.OPEN),
        (ADD_3, Outcome.OPEN),
        (ADD_3 + REMOVE_1, Outcome.OPEN),
        (ADD_3 + COMMIT, Outcome.COMMITTED),
        (ADD_3 + COMMIT.rstrip(b"\n"), Outcome.COMMITTED),
        (ADD_3 + ABORT, Outcome.ABORTED),
        (COMMIT, Outcome.COMMITTED),
        (ABORT, Outcome.ABORTED),
    ],
)
def test_the_last_line_says_how_it_ended(body: bytes, outcome: Outcome) -> None:
    assert read(body).outcome is outcome


def test_a_log_that_nobody_has_any_more_says_nothing() -> None:
    transaction = read()

    assert (transaction.outcome, transaction.added, transaction.removed) == (Outcome.OPEN, (), ())


def test_letters_of_a_type_may_be_of_either_case() -> None:
    body = COMMITTED.replace(b"ADD:", b"Add:").replace(b"REMOVE:", b"remove:").replace(b"COMMIT:", b"commit:")

    assert read(body) == read(COMMITTED)


@pytest.mark.parametrize(
    ("operation", "body", "kind"),
    [
        ("flush", ADD_3, Kind.ADDITION),
        ("stream", ADD_3 + add(f"{DISK_2}/nb-4-big-"), Kind.ADDITION),
        ("compaction", ADD_3 + REMOVE_1, Kind.REPLACEMENT),
        ("unknowncompactiontype", ADD_3 + REMOVE_1, Kind.REPLACEMENT),
        ("compaction", REMOVE_1, Kind.REMOVAL),
        ("removeunreadablesstables", REMOVE_1, Kind.REMOVAL),
        ("unknowncompactiontype", REMOVE_1 + REMOVE_2, Kind.TRUNCATION),
        ("tabletruncated", REMOVE_1, Kind.TRUNCATION),
        ("tabledropped", REMOVE_1, Kind.TRUNCATION),
        ("unknowncompactiontype", b"", Kind.NOTHING),
    ],
)
def test_what_it_does_to_the_table_is_told_by_its_records_and_its_name(operation: str, body: bytes, kind: Kind) -> None:
    transaction = read(body + COMMIT, name=f"nb_txn_{operation}_{LOG_ID}.log")

    assert transaction.operation == operation
    assert transaction.kind is kind


def test_a_log_of_another_format_has_the_format_in_its_name() -> None:
    body = add(f"{TABLE}/da-3fw2_0tj4_46w3k2cpidnirvjy7k-bti-") + COMMIT

    transaction = read(body, name=f"bti-da_txn_flush_{LOG_ID}.log")

    assert transaction.operation == "flush"
    assert transaction.added == ((TABLE, "da-3fw2_0tj4_46w3k2cpidnirvjy7k-bti-"),)


def test_a_path_of_3_x_has_no_last_hyphen_and_names_one_sstable_all_the_same() -> None:
    body = remove(f"{TABLE}/mc-1-big") + remove(f"{TABLE}/ks-t-ka-7") + COMMIT

    transaction = read(body, name=f"mc_txn_upgradesstables_{LOG_ID}.log")

    assert transaction.removed == ((TABLE, "mc-1-big-"), (TABLE, "ks-t-ka-7-"))


def test_na_1_is_not_na_10() -> None:
    one, ten = add(f"{TABLE}/na-1-big"), add(f"{TABLE}/na-10-big")

    assert dead([read(one)]) == {(TABLE, "na-1-big-")}
    assert dead([read(ten)]) == {(TABLE, "na-10-big-")}


@pytest.mark.parametrize("data", ["/da ta/[x]/ks", "/données/ks", "/\N{SNOWMAN}/ks"])
def test_a_directory_may_have_any_name_but_one_with_a_comma(data: str) -> None:
    assert read(add(f"{data}/t-1/nb-3-big-") + COMMIT).added == ((f"{data}/t-1", "nb-3-big-"),)


def test_a_name_that_is_no_utf_8_comes_out_as_the_system_spells_it() -> None:
    path = b"/d\xe9/ks/t-1/nb-3-big-"
    checksum = zlib.crc32(path + b"ADD" + bytes(12))

    transaction = read(b"ADD:[%b,0,0][%d]\n" % (path, checksum))

    assert transaction.added == (("/d\udce9/ks/t-1", "nb-3-big-"),)


@pytest.mark.parametrize("updated", [0, 1, 2**31, 2**32 - 1, 2**32, 1_700_000_000_123, 10**18 - 1])
def test_a_checksum_counts_both_halves_of_the_time(updated: int) -> None:
    body = record("REMOVE", f"{TABLE}/nb-1-big-", updated=updated) + COMMIT

    assert read(body).removed == ((TABLE, "nb-1-big-"),)


def test_fields_that_a_type_has_no_use_for_do_not_count() -> None:
    commit = COMMIT.replace(b"[,0,0]", b"[/x,1700000000123,9]")
    addition = ADD_3.replace(b",0,0]", b",1700000000123,0]")

    assert read(addition + commit).outcome is Outcome.COMMITTED


# A line that was being written.


@given(st.integers(min_value=0, max_value=len(COMMITTED) - 1))
def test_a_log_cut_anywhere_before_its_last_byte_but_the_newline_is_open(length: int) -> None:
    transaction = read(COMMITTED[:length])

    is_whole = length == len(COMMITTED) - len(b"\n")
    assert transaction.outcome is (Outcome.COMMITTED if is_whole else Outcome.OPEN)


@pytest.mark.parametrize("length", range(len(COMMITTED)))
def test_a_torn_line_names_nothing_that_is_not_in_the_whole_log(length: int) -> None:
    transaction, whole = read(COMMITTED[:length]), read(COMMITTED)

    assert transaction.added == whole.added[: len(transaction.added)]
    assert transaction.removed == whole.removed[: len(transaction.removed)]


def test_a_line_that_swallowed_the_next_is_torn() -> None:
    transaction = read(REMOVE_1 + ADD_3.rstrip(b"\n") + COMMIT)

    assert (transaction.outcome, transaction.added) == (Outcome.OPEN, ())


@pytest.mark.parametrize("commit", [b"COMMIT:[,0,0][2613697771]\n", b"COMMIT:[,0,0][]\n", b"\0\0\0\0", b"\n"])
def test_a_last_line_that_is_not_sound_is_not_there(commit: bytes) -> None:
    transaction = read(ADD_3 + REMOVE_1 + commit)

    assert transaction.outcome is Outcome.OPEN
    assert len(transaction.added + transaction.removed) == 2


# What Cassandra would refuse.


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (ADD_3 + REMOVE_1.replace(b"nb-1", b"nb-2") + COMMIT, "line 2 is damaged, and more follows"),
        (ADD_3 + b"nonsense\n" + COMMIT, "line 2 is damaged, and more follows"),
        (ADD_3 + b"\n" + COMMIT, "line 2 is damaged, and more follows"),
        (add("/d,e/ks/t-1/nb-3-big-") + COMMIT, "line 1 is damaged, and more follows"),
        (ADD_3 + COMMIT + REMOVE_1, "line 2 ends the transaction, and more follows"),
        (ADD_3 + COMMIT + b"REM", "line 2 ends the transaction, and more follows"),
        (ADD_3 + ABORT + COMMIT, "line 2 ends the transaction, and more follows"),
        (ADD_3 + ADD_3, "line 2 says what an earlier one said"),
        (ADD_3 + b"9" * 30 + b"\n" + COMMIT, "line 2 is damaged, and more follows"),
    ],
)
def test_a_log_that_makes_no_sense_is_an_error_that_says_where(body: bytes, fault: str) -> None:
    with pytest.raises(CorruptLog, match=f"{COMPACTION}.*{fault}.*system.log"):
        read(body)


def test_what_a_corrupt_log_adds_is_never_live() -> None:
    body = ADD_3 + b"nonsense\n" + add(f"{TABLE}/nb-4-big-") + REMOVE_1 + COMMIT

    with pytest.raises(CorruptLog) as caught:
        read(body)

    assert caught.value.transaction.outcome is Outcome.OPEN
    assert dead([caught.value.transaction]) == {(TABLE, "nb-3-big-"), (TABLE, "nb-4-big-")}


# One replica in each data directory.


JBOD = add(f"{TABLE}/nb-3-big-") + add(f"{DISK_2}/nb-4-big-") + REMOVE_1 + COMMIT


@pytest.mark.parametrize(
    "others",
    [
        [JBOD],
        [b""],
        [JBOD[:-1]],
        [JBOD[:-7]],
        [JBOD[: -len(COMMIT)]],
        [JBOD[:20]],
        [b"", JBOD[: len(ADD_3)], JBOD],
    ],
)
def test_replicas_are_read_as_one_in_any_order(others: list[bytes]) -> None:
    for bodies in permutations([JBOD, *others]):
        transaction = read(*bodies)

        assert transaction.outcome is Outcome.COMMITTED
        assert transaction.added == ((TABLE, "nb-3-big-"), (DISK_2, "nb-4-big-"))


@given(st.lists(st.integers(min_value=0, max_value=len(JBOD)), min_size=1, max_size=3))
def test_replicas_that_end_anywhere_say_what_the_longest_says(lengths: list[int]) -> None:
    bodies = [JBOD[:length] for length in lengths]

    assert read(*bodies) == read(JBOD[: max(lengths)])


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (JBOD.replace(b"nb-4", b"nb-5"), 2),
        (JBOD[: -len(COMMIT)] + ABORT, 4),
        (JBOD[: len(ADD_3) + 9] + b"\n" + REMOVE_1 + COMMIT, 2),
        (REMOVE_1, 1),
    ],
)
def test_replicas_that_contradict_each_other_are_an_error_that_says_where(other: bytes, line: int) -> None:
    for bodies in permutations([JBOD, other]):
        with pytest.raises(CorruptLog, match=f"as line {line} is not the same in all data directories;"):
            read(*bodies)


def test_a_corrupt_log_is_told_with_what_becomes_of_it_and_what_to_do() -> None:
    with pytest.raises(CorruptLog) as caught:
        read(ADD_3 + ADD_3)

    assert str(caught.value) == (
        f"transaction log {COMPACTION} cannot be believed, as line 2 says what an earlier one said; what it added is "
        "taken for unfinished, and not backed up. Cassandra will not start with it: see its system.log before you "
        "delete anything"
    )


def test_when_replicas_contradict_each_other_nothing_that_any_of_them_adds_is_live() -> None:
    with pytest.raises(CorruptLog) as caught:
        read(ADD_3 + COMMIT, add(f"{DISK_2}/nb-4-big-") + COMMIT)

    assert dead([caught.value.transaction]) == {(TABLE, "nb-3-big-"), (DISK_2, "nb-4-big-")}


# What is not live.


def test_until_a_commit_what_it_adds_is_dead_and_afterwards_what_it_removed() -> None:
    before, after = read(COMMITTED[: -len(COMMIT)]), read(COMMITTED)

    assert dead([before]) == {(TABLE, "nb-3-big-")}
    assert dead([after]) == {(TABLE, "nb-1-big-"), (TABLE, "nb-2-big-")}


def test_an_abort_leaves_what_was_there() -> None:
    assert dead([read(COMMITTED[: -len(COMMIT)] + ABORT)]) == {(TABLE, "nb-3-big-")}


def test_an_sstable_made_by_one_transaction_and_replaced_by_another_is_dead() -> None:
    flush = read(ADD_3 + COMMIT)
    compaction = read(add(f"{TABLE}/nb-5-big-") + remove(f"{TABLE}/nb-3-big-") + COMMIT)

    assert dead([flush, compaction]) == {(TABLE, "nb-3-big-")}


def test_without_a_log_everything_is_live() -> None:
    assert dead([]) == frozenset()
