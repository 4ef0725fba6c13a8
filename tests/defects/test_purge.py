"""What tablesnap 1.2.1's purge took, or left unsaid, ours does not: on our layout, and on a bucket that 1.x wrote."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.cli.process import ended
from tests.endpoint import S3Server
from tests.faults.proxy import Reply, proxy
from tests.golden.stored import DATA, NODE, blob, bucket_of_1x

from tablesnap.rules.keys import is_index

NOW = datetime.now(UTC).replace(microsecond=0)
USERS = f"{DATA}/shop/users-{'5a1c395e' * 4}"
ORDERS = f"{DATA}/shop/orders-{'0b1c395e' * 4}"
SIMPLE = f"{DATA}/legacy_tables/nb_simple-0123456789abcdef0123456789abcdef"
CLUST = f"{DATA}/legacy_tables/nb_clust-fedcba9876543210fedcba9876543210"


def ago(**before: float) -> datetime:
    return NOW - timedelta(**before)


def run(*arguments: str, node: str = "node1", **more: str) -> subprocess.CompletedProcess[str]:
    return ended("tablechop", "-n", node, *arguments, **more)


class Golden:
    """The bucket that 1.x left, in a directory, with its objects as old as a test wants them."""

    def __init__(self, directory: Path) -> None:
        self.past = Past.in_directory(directory, NODE)
        self.url = f"file://{directory}"

    def fill(self, age_of: dict[str, datetime], *, emptied: bool = False) -> None:
        """Put every object; *age_of* gives the date of those whose keys hold a text, the last that does counts.

        *emptied*: with the indexes that ``-i`` and a pattern of directories made.
        """
        for one in bucket_of_1x()["objects"]:
            body = blob(one["sha256"])
            if emptied and is_index(one["key"]):
                body = json.dumps({directory: [] for directory in json.loads(body)}).encode()
            [*_, when] = [moment for text, moment in age_of.items() if text in one["key"]]
            self.past.garbage(one["key"], body, when)

    def chop(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(*arguments[:-2], self.url, *arguments[-2:], node=NODE)

    def stored(self) -> set[str]:
        return {listed.key for listed in self.past.store.list("")}

    def generations(self, directory: str) -> set[str]:
        below = self.past.keys.below(directory)
        return {key[len(below) :].split("-")[1] for key in self.stored() if key.startswith(below) and not is_index(key)}


@pytest.fixture
def golden(tmp_path: Path) -> Golden:
    return Golden(tmp_path / "golden")


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past.in_directory(tmp_path / "bucket")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


def keys(past: Past) -> set[str]:
    return {listed.key for listed in past.store.list("")}


def test_d1_a_table_that_went_quiet_keeps_its_only_backup(past: Past, url: str) -> None:
    """D1 of tablesnap 1.2.1: run for a keyspace, it kept the newest listing of all, and wiped every other table."""
    past.table(USERS, [1], ago(days=400))
    past.table(ORDERS, [1], ago(days=1))
    before = keys(past)

    assert run(url, DATA, "0").returncode == 0

    assert keys(past) == before


def test_d1_a_table_of_1x_that_went_quiet_keeps_its_only_backup(golden: Golden) -> None:
    """D1 of tablesnap 1.2.1: run for a keyspace, it kept the newest listing of all, and wiped every other table."""
    golden.fill({"nb_clust": ago(days=400), "nb_simple": ago(days=2)})
    before = golden.stored()

    assert golden.chop(DATA, "1").returncode == 0

    assert {key for key in before if CLUST in key} <= golden.stored()


def test_d2_what_no_listing_names_yet_is_kept(past: Past, url: str) -> None:
    """D2 of tablesnap 1.2.1: objects without a listing went at once, whatever their age; nobody sends them again."""
    past.table(USERS, [1], ago(days=9))
    past.table(USERS, [1, 2], ago(hours=2))
    past.sstable(USERS, 3, ago(hours=1))
    past.sstable(ORDERS, 1, ago(days=50))  # a host that was lost before its first index
    past.garbage(past.keys.plain("/archive/CommitLog-7-1.log"), b"mutations", ago(days=50))
    before = keys(past)

    done = run(url, "/", "1")

    assert keys(past) == before
    assert "no index was written after them" in " ".join(done.stdout.split())
    assert done.returncode == 0


def test_d2_what_no_listing_of_1x_names_yet_is_kept(golden: Golden) -> None:
    """D2 of tablesnap 1.2.1: objects without a listing went at once, whatever their age; nobody sends them again."""
    golden.fill({"": ago(days=50), "nb-3-": ago(hours=20)})
    golden.past.store.delete([golden.past.keys.plain(f"{SIMPLE}/nb-3-big-Data.db-listdir.json")])
    golden.past.garbage(golden.past.keys.plain("/archive/CommitLog-7-1.log"), b"mutations", ago(days=50))
    before = golden.stored()

    assert golden.chop("/", "365").returncode == 0
    assert golden.stored() == before


def test_d3_a_directory_is_no_beginning_of_another_s_name(past: Past, url: str) -> None:
    """D3 of tablesnap 1.2.1: PATH was a string prefix, so that .../users also purged .../users_archive."""
    for directory in (f"{DATA}/users", f"{DATA}/users_archive"):
        for days in (90, 60, 2):
            past.table(directory, [days], ago(days=days))

    assert run(url, f"{DATA}/users", "30").returncode == 0

    assert sum(key.startswith(past.keys.below(f"{DATA}/users_archive")) for key in keys(past)) == 18
    assert sum(key.startswith(past.keys.below(f"{DATA}/users")) for key in keys(past)) == 12


def test_d3_a_directory_of_1x_is_no_beginning_of_another_s_name(golden: Golden) -> None:
    """D3 of tablesnap 1.2.1: PATH was a string prefix, so that .../users also purged .../users_archive."""
    golden.fill({"": ago(days=50)})
    before = golden.stored()

    assert golden.chop("--unindexed-older-than", "1", f"{DATA}/legacy_tables/nb_simple", "1").returncode == 2
    assert golden.chop("--unindexed-older-than", "1", f"{DATA}/legacy", "1").returncode == 1
    assert golden.stored() == before


def test_d4_a_table_whose_listings_of_1x_are_all_empty_keeps_its_data(golden: Golden) -> None:
    """D4 of tablesnap 1.2.1: -i with a directory made every listing empty; its purge then deleted all data."""
    golden.fill({"": ago(days=90), "nb-2-": ago(days=60), "nb-3-": ago(days=2)}, emptied=True)
    data = {key for key in golden.stored() if not is_index(key)}

    done = golden.chop(DATA, "1")

    assert {key for key in golden.stored() if not is_index(key)} == data
    assert "kept, for no index was written after them" in " ".join(done.stdout.split())
    assert done.returncode == 0


def test_d4_our_index_of_what_a_pattern_of_directories_selects_names_it_and_keeps_it(past: Past, url: str) -> None:
    """D4 of tablesnap 1.2.1: -i with a directory made every listing empty; its purge then deleted all data.

    That ours is not empty is tested with the daemon; here, that nothing which it names is taken.
    """
    past.table(USERS, [1, 2], ago(days=90))
    past.table(USERS, [1, 2], ago(days=3))
    before = {key for key in keys(past) if not is_index(key)}

    assert run(url, DATA, "1").returncode == 0
    assert {key for key in keys(past) if not is_index(key)} == before


def test_d18_the_moment_of_the_cutoff_can_be_restored(past: Past, url: str) -> None:
    """D18 of tablesnap 1.2.1: the newest listing older than the cutoff, which is the state at it, was dropped."""
    for days in (40, 31, 29, 2):
        past.table(USERS, [days], ago(days=days))

    assert run(url, DATA, "30").returncode == 0

    stored = {key for key in keys(past) if key.endswith("-big-Data.db")}
    assert {key.split("nb-")[1].split("-")[0] for key in stored} == {"31", "29", "2"}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_d18_the_moment_of_the_cutoff_can_be_restored_from_a_bucket_of_1x_in_any_time_zone(
    golden: Golden, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D18 of tablesnap 1.2.1: the state at the cutoff was dropped, and local time was compared with UTC."""
    monkeypatch.setenv("TZ", zone)
    golden.fill({"": ago(days=90), "nb-2-": ago(days=30, minutes=5), "nb-3-": ago(days=29, hours=23)})
    golden.past.store.delete([golden.past.keys.plain(f"{SIMPLE}/nb-3-big-Data.db-listdir.json")])
    names = [f"nb-3-big-{part}" for part in ("Data.db", "Index.db", "TOC.txt")]
    golden.past.garbage(
        golden.past.keys.plain(f"{SIMPLE}/nb-3-big-Data.db-listdir.json"),
        json.dumps({SIMPLE: names}).encode(),
        ago(days=29, hours=23),
    )

    done = golden.chop(DATA, "30")

    indexes = {key.rpartition("/")[2] for key in golden.stored() if is_index(key) and "nb_simple" in key}
    assert indexes == {"nb-2-big-Data.db-listdir.json", "nb-3-big-Data.db-listdir.json"}
    assert golden.generations(SIMPLE) == {"1", "2", "3"}  # nb-2's listing names nb-1 as well
    assert done.returncode == 0


def test_o9_a_dry_run_of_a_bucket_of_1x_says_how_many_bytes_would_go(golden: Golden) -> None:
    """O9 of tablesnap 1.2.1: a dry run only by the flag for debugging, and no bytes."""
    golden.fill({"": ago(days=90), "nb-2-": ago(days=60), "nb-3-": ago(days=2)})
    before = golden.stored()

    done = golden.chop("--dry-run", DATA, "30")

    assert golden.stored() == before
    assert "  to be deleted: 1 index and 0 objects, 274 B" in done.stdout.splitlines()
    assert done.stderr.startswith("tablechop: would forget 1 restore point and delete 1 index and 0 objects, 274 B")
    assert done.returncode == 0


@pytest.fixture
def unforgiving(moto_endpoint: S3Server) -> Iterator[S3Server]:
    """A store that deletes nothing, and says so within an answer of 200."""

    class Denied(Reply):
        def body(self) -> bytes:
            failed = "<Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
            return f"<DeleteResult>{failed}</DeleteResult>".encode()

    with proxy(
        moto_endpoint, lambda one: Denied(200) if one.method == "POST" and "delete" in one.path else None
    ) as way:
        yield way


def test_a_purge_that_could_not_delete_says_so_with_its_exit_code(
    moto_endpoint: S3Server, unforgiving: S3Server
) -> None:
    """tablesnap 1.2.1 logged that it would try again later, and exited with 0."""
    name = "chop-denied"
    moto_endpoint.make_bucket(name)
    moto_endpoint.client().put_object(Bucket=name, Key="node1:/archive/a", Body=b"mutations")
    access = {"AWS_ACCESS_KEY_ID": moto_endpoint.access_key, "AWS_SECRET_ACCESS_KEY": moto_endpoint.secret_key}
    flags = ("--forget-all", "--yes", "--endpoint-url", unforgiving.endpoint_url, "--aws-region", "us-east-1")

    done = run(*flags, name, "/archive", **access)

    assert "! not deleted: " in done.stdout
    assert "AccessDenied" in done.stdout
    assert done.returncode == 1
