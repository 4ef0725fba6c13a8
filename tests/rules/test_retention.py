import pytest

from tablesnap.rules.retention import GRACE_SECONDS, may_be_relied_on


@pytest.mark.parametrize(
    ("named", "age_seconds", "verdict"),
    [
        (False, 0.0, True),
        (False, -3600.0, True),
        (False, GRACE_SECONDS / 2 - 1, True),
        (False, GRACE_SECONDS / 2, False),
        (False, GRACE_SECONDS * 9, False),
        (True, GRACE_SECONDS * 9, True),
    ],
)
def test_an_object_is_relied_on_only_if_no_purge_can_take_it_before_our_index_is_written(
    named: bool, age_seconds: float, verdict: bool
) -> None:
    assert may_be_relied_on(named=named, age_seconds=age_seconds) is verdict
