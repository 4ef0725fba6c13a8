import pytest

from tablesnap.upload.backoff import CAP_SECONDS, FIRST_SECONDS, delay


@pytest.mark.parametrize("failures", [1, 2, 3, 5, 10])
def test_a_delay_doubles_with_each_failure_give_or_take_a_half(failures: int) -> None:
    longest = min(CAP_SECONDS, FIRST_SECONDS * 2 ** (failures - 1))

    for _ in range(100):
        assert longest / 2 <= delay(failures) <= longest


@pytest.mark.parametrize("failures", [20, 2_000, 10**9])
def test_a_delay_never_passes_its_cap_however_often_something_failed(failures: int) -> None:
    assert delay(failures) <= CAP_SECONDS
    assert delay(failures, cap=15.0) <= 15.0


def test_two_daemons_do_not_wait_alike() -> None:
    assert len({delay(5) for _ in range(20)}) > 1
