"""What the tests of packaging need of the machine."""

import os
import shutil

from tests.s3_servers import skip_or_fail


def expect_tools(*commands: str) -> None:
    """Skip the test, or fail it where everything was promised, if one of *commands* is not on this machine."""
    absent = [command for command in commands if shutil.which(command) is None]
    if absent:
        skip_or_fail(f"{', '.join(absent)} not found on this machine")


def expect_root() -> None:
    """Skip the test, or fail it where everything was promised, if this process is not root."""
    if os.geteuid() != 0:
        skip_or_fail("only root can do what this test does")
