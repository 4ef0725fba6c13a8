"""The servers that tests start on loopback, each once for the whole session and only if a test asks for it; and the
seed of those tests that take other steps each time."""

import os
import random

import pytest

pytest_plugins = ["tests.s3_servers", "tests.azurite"]

SEED = "TABLESNAP_SEED"


def pytest_configure() -> None:
    # In the environment, so that pytest-xdist's workers have the same.
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(2**32)))


def pytest_report_header() -> str:
    return f"{SEED}={os.environ[SEED]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # The header is left out with -q, and must not be with a failure.
    terminalreporter.write_line(f"{SEED}={os.environ[SEED]} takes the same steps again")
