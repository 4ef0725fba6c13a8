"""Whatever call of whatever command is lied to: it fails, or what it did is what it does where nobody lies.

But for lies that answer the very question and are well-formed, which nobody can tell: `UNTOLD` has them. In no other
case does a purge delete what it would have kept, and in no case does a restore leave a file that is not what was
backed up.
"""

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.catalog.stored import Past
from tests.commands import Said, command
from tests.daemon.harness import NODE, Bucket
from tests.faults.lies import LIES, LIES_ABOUT_PAGES, OTHER_BUCKET, Liar, Tell, in_small_pages, of_another_bucket
from tests.faults.proxy import Meddle, proxy
from tests.s3_servers import DatingServer, dating_server

from tablesnap.store.port import Content

pytestmark = pytest.mark.faults
NOW = datetime.now(UTC).replace(microsecond=0)
DATA = "/var/lib/cassandra/data"
USERS = f"{DATA}/shop/users-{'5a1c395e' * 4}"
ORDERS = f"{DATA}/shop/orders-{'0b1c395e' * 4}"
COMMANDS = ("tablelist", "tablecheck", "tableslurp", "tablechop")
# Of these the answer of an empty bucket is as good as any: S3 says of which bucket it speaks in Name alone, which
# gateways and access points fill as they like.
UNTOLD = {("ListObjectsV2", of_another_bucket), ("DeleteObjects", of_another_bucket)}


@pytest.fixture(scope="module")
def dating() -> Iterator[DatingServer]:
    with dating_server() as server:
        server.server.make_bucket(OTHER_BUCKET)
        yield server


@dataclass(frozen=True)
class Done:
    """What a command made of a bucket."""

    said: Said
    files: dict[str, bytes]  # what it restored
    left: frozenset[str]  # the keys that are in the bucket afterwards

    @property
    def result(self) -> object:
        """What its user relies on."""
        # A restore says how long it took: what it brought is its result.
        return self.said.code, self.files or self.said.out, self.left


class Scene:
    """A bucket with a past, the same for each run of a command."""

    def __init__(self, dating: DatingServer, tmp_path: Path) -> None:
        self._dating = dating
        self.server = dating.server
        self._name = f"lies-{uuid.uuid4().hex[:12]}"
        self._target = tmp_path / "target"
        self._dates: dict[str, datetime] = {}
        dating.server.make_bucket(self._name)
        self.bucket = Bucket.on(dating.server, self._name)
        past = Past(self.bucket.store(), self._date, NODE)
        for days, generations in ((90, [1]), (60, [2]), (2, [2, 3])):
            past.table(USERS, generations, NOW - timedelta(days=days))
        past.table(ORDERS, [1], NOW - timedelta(days=3))
        self._objects = self.bucket.objects()

    def run(self, name: str, meddle: Meddle) -> tuple[Done, set[str]]:
        """Run a command through a proxy that meddles; return what came of it, and the calls it made."""
        words = {"tableslurp": (DATA, str(self._target)), "tablechop": (DATA, "30")}.get(name, ())
        flags = {"tablelist": ("--json",), "tablecheck": ("--read",), "tableslurp": ("-r",)}.get(name, ())
        with proxy(self._dating.server, meddle) as between:
            bucket = Bucket.on(between, self._name)
            # botocore asks once more, and not four times, with longer and longer waits.
            bucket = replace(bucket, environment={**bucket.environment, "AWS_MAX_ATTEMPTS": "2"})
            said = command(name, bucket, *words, flags=flags)
        files = {str(one.relative_to(self._target)): one.read_bytes() for one in self._files()}
        left = frozenset(self.bucket.keys())
        self._begin_again(left)
        return Done(replace(said, out=said.out.replace(between.endpoint_url, "")), files, left), {
            one.call for one in between.seen
        }

    def _begin_again(self, left: frozenset[str]) -> None:
        if self._target.exists():
            shutil.rmtree(self._target)
        for key in self._objects.keys() - left:
            self.bucket.store().create(key, Content.of(self._objects[key].body))
            self._date(self._dates[key], key)

    def _files(self) -> list[Path]:
        return [one for one in self._target.rglob("*") if one.is_file()]

    def _date(self, when: datetime, key: str) -> None:
        if key:
            self._dates[key] = when
            self._dating.date(self._name, key, when)


@pytest.fixture(scope="module")
def scene(dating: DatingServer, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(dating, tmp_path_factory.mktemp("scene"))


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_lie_makes_a_command_fail_or_changes_nothing(name: str, lie: Tell, scene: Scene) -> None:
    honest, calls = scene.run(name, in_small_pages)
    assert honest.said.code == 0
    believed = []

    for call, every in cases(calls, lie):
        done, _ = scene.run(name, Liar(scene.server, call, lie, every=every))
        untold = (call, lie) in UNTOLD
        if not untold and done.said.code == 0 and done.result != honest.result:
            believed.append(f"{call}, {every=}: {done.said}")
        if not (untold or honest.left <= done.left):
            believed.append(f"{call}, {every=}: deleted {sorted(honest.left - done.left)}")
        if not done.files.items() <= honest.files.items():
            believed.append(f"{call}, {every=}: restored {sorted(done.files)}")

    assert believed == []


def cases(calls: set[str], lie: Tell) -> Iterator[tuple[str, bool]]:
    """Yield each call that there can be this lie about, told once; of listings and deletions told each time as well.

    Of each object a command asks several times and waits longer each time: what it makes of one that is lied about
    each time is in `tests/store/test_s3_answers.py` and `tests/download`, where the waits can be injected.
    """
    for call in sorted(calls):
        if call == "ListObjectsV2" or lie not in LIES_ABOUT_PAGES:
            yield call, False
            if call in ("ListObjectsV2", "DeleteObjects"):
                yield call, True
