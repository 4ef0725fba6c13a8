"""What is archived of a restore is thawed once, and a store that refuses is not taken for one that does it."""

import pytest
from tests.stores import Archived

from tablesnap.errors import StoreRefused
from tablesnap.restore.archived import thaw
from tablesnap.restore.plan import Frozen
from tablesnap.store.memory import MemoryStore


def frozen(key: str, *, is_thawing: bool = False) -> Frozen:
    return Frozen(key, f"/target/{key}", 4, "GLACIER", is_thawing)


def test_only_what_nobody_has_asked_for_is_asked_for_and_once_where_two_files_share_an_object() -> None:
    store = Archived(MemoryStore())

    asked = thaw([frozen("a"), frozen("b", is_thawing=True), frozen("a")], store, 7, threads=2)

    assert (asked, store.thawed) == (1, {"a": 7})


class Refusing(Archived):
    """A store that thaws nothing for us."""

    def thaw(self, key: str, days: int) -> None:
        raise StoreRefused(f"{key}: access was denied")


def test_a_store_that_refuses_to_thaw_is_an_error() -> None:
    with pytest.raises(StoreRefused, match="access was denied"):
        thaw([frozen("a"), frozen("b")], Refusing(MemoryStore()), 7, threads=2)
