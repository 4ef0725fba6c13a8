"""The bucket's layout is documented well enough to restore with a shell: this runs what the document says."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.stores import Clock

from tablesnap.catalog.catalog import Catalog
from tablesnap.rules.index import Index, Owner, StoredFile
from tablesnap.rules.index_parts import join
from tablesnap.rules.keys import Keys, beside
from tablesnap.store.file import FileStore
from tablesnap.store.port import Content

DOCUMENT = Path(__file__).parents[2] / "docs/reference/bucket-layout.md"
FIRST, SECOND, HIDDEN = "/disk1/ks/t-1", "/disk2/ks/t-1", "/disk1/ks/t-1/.t_by_name_idx"
KEYS = Keys("", "node2", ":")
FILES = {
    FIRST: {"nb-7-big-Data.db": b"seven", "nb-7-big-Statistics.db": b"rewritten"},
    SECOND: {"nb-8-big-Data.db": b"eight", "café 100%+#?.db": b"odd"},
    HIDDEN: {"nb-9-big-Data.db": b""},
}


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    return bucket


def back_up(store: FileStore, directory: str) -> Index:
    files: dict[str, StoredFile] = {}
    for name, body in FILES[directory].items():
        content = Content.of(body)
        key = KEYS.plain(f"{directory}/{name}")
        if body == b"rewritten":
            store.create(key, Content.of(b"the first"))
            key = beside(key, content.checksum)
        store.create(key, content)
        files[name] = StoredFile(key, len(body), content.checksum, mtime_ns=1, mode=0o100644, owner=Owner(0, 0))
    moment = Clock().moment
    return Index(directory, names=tuple(files), files=files, node="node2", taken_at=moment, seen_at=moment)


def recipe() -> str:
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    return next(block for block in blocks if "index.json" in block)


def run(script: str, bucket: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    if not (shutil.which("jq") and shutil.which("curl")):
        message = "no jq or no curl on this machine"
        if os.environ.get("TABLESNAP_REQUIRE_SERVERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    folder.mkdir()
    environment = {**os.environ, "BUCKET": bucket.as_uri()}
    return subprocess.run(["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("begin", [FIRST, SECOND, HIDDEN])
def test_by_hand_every_directory_of_a_table_is_restored_whichever_index_one_begins_with(
    bucket: Path, tmp_path: Path, begin: str
) -> None:
    store = FileStore(str(bucket))
    first, *others = [back_up(store, directory) for directory in FILES]
    keys = Catalog(store, KEYS).write_restore_point((join([first, *others]), *others))
    given = re.sub("^key=.*$", f"key='{dict(zip(FILES, keys, strict=True))[begin]}'", recipe(), flags=re.MULTILINE)

    done = run(given, bucket, tmp_path / "here")

    restored = tmp_path / "here/restored"
    assert done.stdout.splitlines() == ["true"], done.stderr
    assert {directory: contents(restored, directory) for directory in FILES} == FILES


def test_by_hand_one_directory_is_restored_and_what_is_missing_is_told(bucket: Path, tmp_path: Path) -> None:
    store = FileStore(str(bucket))
    index = replace(back_up(store, FIRST), missing=("nb-8-big-Data.db",))
    Catalog(store, KEYS).write(index)
    store.delete([index.files["nb-7-big-Data.db"].key])

    done = run(recipe(), bucket, tmp_path / "here")

    path = f"{FIRST}/nb-7-big-Data.db"
    assert done.stdout.splitlines() == ["false", f"FAILED {path}", f"WRONG SIZE {path}"], done.stderr


def contents(restored: Path, directory: str) -> dict[str, bytes]:
    folder = restored / directory.lstrip("/")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
