"""The servers that tests start on loopback, each once for the whole session and only if a test asks for it; the seed of
those tests that take other steps each time; and what was skipped, summed up."""

import gc
import os
import random
from collections import Counter

import pytest
from hypothesis import settings

pytest_plugins = ["tests.s3_servers", "tests.azurite", "tests.fake_gcs"]

SEED = "TABLESNAP_SEED"
# Without a deadline, as how long an example takes says only how busy the machine is.
settings.register_profile("usual", deadline=None)
# For people who wait: `make quick` and `make test`; CI takes the usual. Tests that want another number of examples ask
# `tests.examples`.
settings.register_profile("quick", max_examples=10, deadline=None)
settings.load_profile("usual")


def pytest_configure() -> None:
    # In the environment, so that pytest-xdist's workers have the same.
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(2**32)))


def pytest_collection_finish() -> None:
    # What was collected stays to the end: no pass of the garbage collector need look at it again.
    gc.freeze()


def pytest_report_header() -> str:
    return f"{SEED}={os.environ[SEED]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    for reason, number in skipped.most_common():
        terminalreporter.write_line(f"skipped {number}: {reason}")
    # The header is left out with -q, and must not be with a failure.
    terminalreporter.write_line(f"{SEED}={os.environ[SEED]} takes the same steps again")


def _reason(report: pytest.TestReport) -> str:
    # pytest's form of it: the file, the line, and the reason.
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return said.removeprefix("Skipped: ")
