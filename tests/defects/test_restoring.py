"""Restores over a connection that drops, and the defects of 1.x's restore that have to do with one."""

import subprocess
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.cli.process import ended
from tests.daemon.harness import Bucket
from tests.endpoint import S3Server, free_port
from tests.faults.proxy import Fate, Reply, Request, proxy

USERS = f"/var/lib/cassandra/data/shop/users-{'5a1c395e' * 4}"


def slurp(bucket: Bucket, target: Path) -> subprocess.CompletedProcess[str]:
    """Restore the table to *target*."""
    words = ("-n", "node1", *bucket.arguments, bucket.url, USERS, str(target))
    return ended("tableslurp", *words, **bucket.environment, COLUMNS="1000")


@pytest.fixture
def past(moto_endpoint: S3Server, request: pytest.FixtureRequest) -> Past:
    moto_endpoint.make_bucket(bucket_of(request))
    past = Past(Bucket.on(moto_endpoint, bucket_of(request)).store(), lambda moment, key: None)
    past.table(USERS, [1, 2, 3], datetime.now(UTC))
    return past


def bucket_of(request: pytest.FixtureRequest) -> str:
    return f"restoring-{abs(hash(request.node.name)) % 10**8}"


def contents(past: Past) -> dict[str, bytes]:
    """Return what the store has of the table."""
    listed = past.store.list(past.keys.below(USERS))
    return {
        one.key.rpartition("/")[2]: b"".join(past.store.read(one.key))
        for one in listed
        if not one.key.endswith("-listdir.json")
    }


@pytest.mark.parametrize("answer", [Fate.RESET_UNHEARD, Reply(503)], ids=["cut", "503"])
def test_a_connection_that_drops_now_and_then_costs_nothing(
    past: Past,
    moto_endpoint: S3Server,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    answer: Fate | Reply,
) -> None:
    numbers = count()

    def meddle(one: Request) -> Fate | Reply | None:
        return answer if one.method == "GET" and one.is_data and next(numbers) % 3 == 0 else None

    with proxy(moto_endpoint) as between:
        between.faults.meddle = meddle
        done = slurp(Bucket.on(between, bucket_of(request)), tmp_path / "target")

    assert next(numbers) > 20, "some requests failed"
    assert {one.name: one.read_bytes() for one in (tmp_path / "target").iterdir()} == contents(past)
    assert done.returncode == 0


def test_an_object_that_cannot_be_had_is_named_and_the_next_run_completes(
    past: Past, moto_endpoint: S3Server, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    target, wanted = tmp_path / "target", contents(past)
    with proxy(moto_endpoint) as between:
        between.faults.meddle = lambda one: Reply(403) if one.key.endswith("nb-2-big-Index.db") else None
        done = slurp(Bucket.on(between, bucket_of(request)), target)
    found = {one.name: one.read_bytes() for one in target.iterdir()}
    again = slurp(Bucket.on(moto_endpoint, bucket_of(request)), target)

    assert f"{target}/nb-2-big-Index.db" in done.stderr
    assert done.returncode == 1
    # Without one of its components an sstable has no Data.db either: Cassandra does not see it.
    assert found == {
        name: body for name, body in wanted.items() if name not in ("nb-2-big-Index.db", "nb-2-big-Data.db")
    }
    assert {one.name: one.read_bytes() for one in target.iterdir()} == wanted
    assert again.returncode == 0


def test_o2_where_nobody_answers_it_ends(tmp_path: Path) -> None:
    """O2 of tablesnap 1.2.1: where no worker could connect it waited for ever."""
    nobody = S3Server(f"http://127.0.0.1:{free_port()}", "key", "secret")

    done = slurp(Bucket.on(nobody, "bucket"), tmp_path / "target")

    assert nobody.endpoint_url in done.stderr
    assert done.returncode == 1
