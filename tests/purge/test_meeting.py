"""An upload finds its object stored while a purge is about to delete it: in every order they miss each other."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import combinations_with_replacement

import pytest
from tests.purge.world import Stepping, Table, World

from tablesnap.errors import NoSuchObject

NO_SKEW = timedelta(0)
REQUESTS = 9  # of the purge, at most; what is to happen later happens after it
ORDERS = list(combinations_with_replacement(range(1, REQUESTS + 1), 2))


def meet(order: tuple[int, int], *, relies_on_anything: bool = False, unnamed_hours: float = 0) -> tuple[World, bool]:
    """Purge a table, and before the two requests of that *order* have the daemon find the object, and record it.

    With *unnamed_hours* the object is named by no index, and so old; without, by one that is forgotten. Returns whether
    the purge deleted it.
    """
    world = World(NO_SKEW, NO_SKEW, relies_on_anything=relies_on_anything)
    table = world.tables["one"]
    world.flush(table, 0, again=False)
    world.upload(table)
    world.record(table)
    first = table.live.copy()
    world.compact(table)
    world.upload(table)
    world.record(table)
    world.pass_time(24 * 40)
    if unnamed_hours:
        world.flush(table, 0, again=False)
        first = table.live.copy()
        world.upload(table)
        world.pass_time(unnamed_hours)
        world.start_daemon()  # it knows nothing of what it stored
    # Somebody copies the files of a snapshot back: the same names with the same bytes as long ago.
    table.live = first
    before = {listed.key for listed in world.store.list("")}
    carry_out(world, table, order)
    plain = {f"n:{directory}/{name}" for directory, name in first}
    return world, not plain & before <= {listed.key for listed in world.store.list("")}


def carry_out(world: World, table: Table, order: tuple[int, int]) -> None:
    steps: list[Callable[[], None]] = [lambda: world.upload(table), lambda: world.record(table)]
    turns: dict[int, Callable[[], None]] = {}

    def take(number: int) -> None:
        while steps and order[-len(steps)] <= number:
            steps.pop(0)()

    for number in set(order):
        turns[number] = partial(take, number)
    terms = world.terms(days=1)
    world.forgive(terms, 1)
    for do in world.plans(Stepping(world.store, turns), terms):
        assert not do().failures
    take(REQUESTS)


def is_whole(world: World) -> bool:
    """Say whether whatever any index names is there."""
    try:
        world.insist_every_index_restores()
    except NoSuchObject:
        return False
    return True


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_what_a_purge_deletes_is_not_what_an_upload_relied_on(order: tuple[int, int]) -> None:
    world, _ = meet(order)

    world.insist_all_promises_are_kept()
    world.insist_every_index_restores()


@pytest.mark.parametrize("hours", [11.0, 13.0, 23.0, 25.0, 49.0])
def test_nor_is_what_no_index_ever_named_at_any_age(hours: float) -> None:
    for order in ORDERS:
        world, _ = meet(order, unnamed_hours=hours)

        world.insist_all_promises_are_kept()
        world.insist_every_index_restores()


def test_without_the_rule_they_meet() -> None:
    """The proof that the orders above are those that harm: a daemon that relies on what it finds loses it."""
    met = [order for order in ORDERS if not is_whole(meet(order, relies_on_anything=True)[0])]

    assert met
    assert all(meet(order)[1] for order in met), "the purge does delete the object in these orders"


def come_back_while_two_purge(at: int) -> World:
    """Carry out two purges of one plan, one before a request of the other, and put a file back in between.

    The daemon then records under the name that an index had which both forget.
    """
    world = World(NO_SKEW, NO_SKEW)
    table = world.tables["one"]
    for _ in range(2):
        world.compact(table)
        world.upload(table)
        world.record(table)
    first = dict(table.promises[0].contents)
    world.pass_time(24 * 40)
    terms = world.terms(days=1)
    world.forgive(terms, 1)
    others = world.plans(world.store, terms)

    def turn() -> None:
        for carry_out in others:
            assert not carry_out().failures
        if store.is_late:
            return  # docs/design/guarantees.md says what is left
        table.live = first
        world.start_daemon()
        world.upload(table)
        world.record(table)

    store = Stepping(world.store, {at: turn})
    for do in world.plans(store, terms):
        assert not do().failures
    return world


@pytest.mark.parametrize("at", range(1, REQUESTS + 1))
def test_what_comes_back_while_two_purge_is_not_taken_for_what_it_was(at: int) -> None:
    world = come_back_while_two_purge(at)

    world.insist_all_promises_are_kept()
    world.insist_every_index_restores()
