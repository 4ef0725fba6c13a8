"""No table starves another, whichever queue is the longer."""

import heapq
import threading

from hypothesis import given
from hypothesis import strategies as st

from tablesnap.upload.turns import Turns


class Queue:
    """One server that takes the smallest turn first, and of equals the first to come."""

    def __init__(self) -> None:
        self.turns = Turns()
        self._waiting: list[tuple[int, int, str]] = []
        self._added = 0

    def add(self, group: str, count: int = 1) -> None:
        for _ in range(count):
            self._added += 1
            heapq.heappush(self._waiting, (self.turns.next(group), self._added, group))

    def serve(self, count: int = 1) -> str:
        """Serve so many and return their groups, a letter each."""
        served = ""
        for _ in range(count):
            turn, _, group = heapq.heappop(self._waiting)
            self.turns.began(turn)
            served += group
        return served


def test_a_groups_turns_go_up_so_that_its_items_keep_their_order() -> None:
    turns = Turns()

    given_out = [turns.next("a") for _ in range(5)]

    assert given_out == sorted(set(given_out))


def test_one_that_comes_late_is_served_beside_a_long_queue_not_behind_it() -> None:
    queue = Queue()
    queue.add("a", 1000)
    queue.serve(500)

    queue.add("b", 3)

    assert "b" in queue.serve(2)
    assert queue.serve(6).count("b") == 2


def test_one_with_a_long_queue_is_not_starved_by_one_that_always_has_something_new() -> None:
    queue = Queue()
    queue.add("a", 10)
    served = ""

    for _ in range(20):
        queue.add("b")
        served += queue.serve()

    assert served.count("a") >= 9


def test_time_that_was_not_used_is_no_credit() -> None:
    queue = Queue()
    queue.add("a", 100)
    queue.add("b")
    queue.serve(50)

    queue.add("b", 20)

    assert 8 <= queue.serve(20).count("a") <= 12


def test_what_was_called_off_is_not_held_against_its_group() -> None:
    turns = Turns()
    for _ in range(1000):
        turns.next("a")
    turns.began(7)

    turns.forget("a")

    assert turns.next("a") == turns.next("b") == 7


def test_one_that_is_tried_again_takes_nobody_back() -> None:
    turns = Turns()
    turns.began(9)

    turns.began(2)

    assert turns.next("a") == 9


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20)), min_size=1, max_size=20), st.integers(0, 5))
def test_while_two_groups_wait_neither_is_served_more_than_two_times_more(
    batches: list[tuple[str, int]], between: int
) -> None:
    queue = Queue()
    left = dict.fromkeys("abc", 0)
    for group, count in batches:
        queue.add(group, count)
        left[group] += count
        for one in queue.serve(min(between, sum(left.values()))):
            left[one] -= 1

    while len(waiting := [group for group in left if left[group]]) > 1:
        shortest = min(left[group] for group in waiting)
        served = queue.serve(shortest * len(waiting))
        counts = [served.count(group) for group in waiting]
        for group in waiting:
            left[group] -= served.count(group)
        # One that came late may begin with the turn that is being served now, which others have had.
        assert max(counts) - min(counts) <= 2


def test_threads_that_ask_at_once_get_turns_of_their_own() -> None:
    turns = Turns()
    got: list[int] = []
    begin = threading.Barrier(8)

    def ask() -> None:
        begin.wait(60)
        got.extend([turns.next("a") for _ in range(200)])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(got) == list(range(1600))
