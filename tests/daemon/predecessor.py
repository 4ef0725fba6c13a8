"""What tablesnap 1.x's restore makes of a bucket."""

import json
from pathlib import Path

from tests.daemon.harness import StoredObject

Restored = dict[str, dict[str, bytes]]  # by directory, then by name

ENDING = "-listdir.json"


def restored_by_1x(objects: dict[str, StoredObject], front: str) -> Restored:
    """Restore every directory by the rule of 1.x, whose keys begin with *front* and then have the path.

    Its tableslurp takes the newest key, by the store's date, that ends in `-listdir.json` and has no further slash
    after the directory; reads the names from the pair that has the directory for its name; and fetches each name
    after the directory and a slash.
    """
    newest: dict[str, StoredObject] = {}
    for one in sorted(objects.values(), key=lambda one: (one.modified, one.key)):
        if one.key.endswith(ENDING):
            newest[one.key.rpartition("/")[0]] = one
    restored: Restored = {}
    for directory_key, index in newest.items():
        directory, names = next(iter(json.loads(index.body).items()))
        assert directory_key == front + directory
        restored[directory] = {name: objects[f"{directory_key}/{name}"].body for name in names}
    return restored


def by_directory(files: dict[Path, bytes]) -> Restored:
    ordered: Restored = {}
    for path, body in files.items():
        ordered.setdefault(str(path.parent), {})[path.name] = body
    return ordered
