"""Who says which sstables in a directory are live, by the names in it."""

import pytest

from tablesnap.rules.lifecycle import Lifecycle, lifecycle_of

LOG = "nb_txn_flush_8a3c2f10-1111-11ee-8c99-0242ac120002.log"
LOGGED, SCYLLA, UNLOGGED = Lifecycle.LOGGED, Lifecycle.SCYLLA, Lifecycle.UNLOGGED


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], None),
        (["notes.txt"], None),
        (["nb-1-big-Data.db"], LOGGED),
        ([LOG], LOGGED),
        (["ks-t-ka-1-Data.db"], UNLOGGED),
        (["ks-t-ka-1-Data.db", "mc-2-big-Data.db"], LOGGED),  # from before an upgrade
        (["mc-2-big-Data.db", "ks-t-ka-1-Data.db"], LOGGED),
        (["me-1-big-Data.db", "me-1-big-Scylla.db"], SCYLLA),
        (["me-1-big-TOC.txt.tmp", "me-1-big-Data.db"], SCYLLA),  # before it has a Scylla.db
    ],
)
def test_the_names_say_it(names: list[str], expected: Lifecycle | None) -> None:
    assert lifecycle_of(names) is expected
