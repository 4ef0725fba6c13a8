from datetime import timedelta

from bench import purge
from bench.synthetic_bucket import KEYS, LIVE, Bucket, served

from tablesnap.rules.index_decoding import decode
from tablesnap.rules.keys import is_index


def small_bucket(tables: int) -> Bucket:
    return purge.make_bucket(tables, objects=8000, indexes=200)


def test_the_indexes_that_are_made_up_name_what_is_listed() -> None:
    [table] = small_bucket(1).tables

    for number in (table.data, table.data + 100, table.count - 1):
        assert is_index(table.key_of(number))
        named = decode(table.body_of(number), table.key).keys(table.key)
        assert len(named) <= 8 * LIVE
        assert named <= table.numbers.keys()
    assert len(table.numbers) == table.count == 8200


def test_a_purge_takes_nearly_all_of_it_and_leaves_what_the_newest_name() -> None:
    bucket = small_bucket(2)
    for table in bucket.tables:
        table.pace, table.oldest = table.pace * 20, table.oldest - table.pace * 19 * table.indexes

    with served(bucket) as address:
        done = purge.chop(address)

    assert done.returncode == 0, done.stderr
    assert bucket.left < 4000
    assert bucket.requests["GET"] == 200
    assert bucket.requests["DELETE of many"] < 20, "no request for each object"
    for table in bucket.tables:
        newest = decode(table.body_of(table.count - 1), KEYS.below(table.directory))
        assert not any(table.deleted[table.numbers[key]] for key in newest.keys(table.key))
    assert timedelta(days=purge.AGE_DAYS) < table.moment_of(table.count - 1) - table.oldest
