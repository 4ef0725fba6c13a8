"""A restore in a process of its own: brings every object of a `file:` store, in groups by the first part of its key."""

import itertools
import sys
from pathlib import Path

from tests.download.bringing import bring, whys

from tablesnap.download.one import Fetch
from tablesnap.store.file import FileStore


def main(store: FileStore, target: Path) -> int:
    keys = sorted(listed.key for listed in store.list(""))
    groups = [
        [fetch_of(store, key, target) for key in group] for _, group in itertools.groupby(keys, lambda key: key[0])
    ]
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    failures = bring(store, *groups)
    for path, why in whys(failures).items():
        sys.stdout.write(f"{path} {why}\n")
    return 3 if failures else 0


def fetch_of(store: FileStore, key: str, target: Path) -> Fetch:
    head = store.head(key)
    return Fetch(key, str(target / key), head.size, head.checksum, mode=0o640)


if __name__ == "__main__":
    sys.exit(main(FileStore(sys.argv[1]), Path(sys.argv[2])))
