from bench.index_economy import SSTABLES, Sizes, encoded, size_by_count, stems_by_number, written

from tablesnap.rules.index_decoding import decode

LINEAR = Sizes([1, SSTABLES], [800, 800 * SSTABLES])


def test_the_size_of_an_index_is_that_of_one_that_can_be_read() -> None:
    stems = stems_by_number()[:500]

    body = encoded(stems)

    assert len(decode(body, "node:/data/").files) == 8 * 500
    assert abs(size_by_count(stems_by_number())(500) - len(body)) < 0.05 * len(body)


def test_a_flush_that_finds_the_table_idle_is_in_an_index_at_once() -> None:
    run = written(600.0, 10.0, LINEAR)

    assert (run.indexes, run.longest) == (SSTABLES, 0.0)
    assert run.size == 800 * SSTABLES * (SSTABLES + 1) / 2


def test_no_flush_waits_longer_than_five_minutes() -> None:
    run = written(1.0, 10.0, LINEAR)

    assert run.indexes < SSTABLES / 20
    assert run.longest <= 300.0
