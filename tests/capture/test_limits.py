"""As many files as the system lets us, and some left over for the rest."""

import resource
import subprocess
import sys

import pytest

from tablesnap.capture.limits import pins_within

RAISE = "from tablesnap.capture.limits import raise_file_limit; print(raise_file_limit())"


def raised_from(soft: int, hard: int, script: str = RAISE) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        check=True,
    )
    return done.stdout.strip()


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    script = f"{RAISE}; import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"

    assert raised_from(100, 200, script).split() == ["200", "200", "200"]


def test_a_limit_that_is_raised_already_is_left_alone() -> None:
    assert raised_from(200, 200) == "200"


@pytest.mark.parametrize(("limit", "pins"), [(100, 50), (1024, 512), (4096, 3584), (1 << 20, (1 << 20) - 512)])
def test_descriptors_are_left_over_for_all_that_is_no_pin(limit: int, pins: int) -> None:
    assert pins_within(limit) == pins
