"""A daemon in the worst of weathers beside a Cassandra at work, for `MINUTES`: what restores is what was written.

Which steps are taken is drawn from `TABLESNAP_SEED`. How many there is time for, and which requests meet with what,
depends on the machine: a slow one takes fewer steps, and is right all the same.
"""

import os
import random
import time
import uuid
from pathlib import Path

import pytest
from tests.cassandra.at_work import AtWork
from tests.cassandra.node import DA, OA, STOCK, Configuration, running_node
from tests.cassandra.restore import Reader
from tests.cassandra.soaking import Places, Soak
from tests.daemon.harness import Bucket
from tests.endpoint import S3Server
from tests.faults.proxy import proxy
from tests.faults.weather import Weather

MINUTES = float(os.environ.get("MINUTES", "3"))
pytestmark = [pytest.mark.soak, pytest.mark.timeout(60 * MINUTES + 1800)]


def test_what_restores_is_what_was_written_whatever_the_weather(
    reader: Reader, s3_server: S3Server, tmp_path: Path
) -> None:
    seed = os.environ["TABLESNAP_SEED"]
    pick = random.Random(f"{seed} steps")
    configuration = Configuration(
        pick.choice((STOCK, OA, DA)),
        disks=pick.choice((1, 2)),
        settings={"uuid_sstable_identifiers_enabled": pick.choice((True, False))},
    )
    name = f"backups-{uuid.uuid4().hex[:12]}"
    s3_server.make_bucket(name)
    weather = Weather(s3_server, random.Random(f"{seed} weather"))
    with (
        proxy(s3_server, weather.meddle, tls=pick.random() < 0.3) as between,
        running_node(tmp_path / "node", configuration) as node,
    ):
        between.faults.line = weather.line
        places = Places(Bucket.on(s3_server, name), Bucket.on(between, name), tmp_path)
        end = time.monotonic() + 60 * MINUTES

        Soak(AtWork(node, pick), reader, places, weather, pick).run(lambda: time.monotonic() < end)
