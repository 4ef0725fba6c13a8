from dataclasses import replace

import pytest

from tablesnap.rules.found import Verdict, judge
from tablesnap.rules.incarnation import Incarnation
from tablesnap.rules.index import Index, Owner, StoredFile

STORED, LEFT_ALONE, COMPARED, UPLOADED = Verdict.STORED, Verdict.LEFT_ALONE, Verdict.COMPARED, Verdict.UPLOADED

HERE = Incarnation(size=3, mtime_ns=5, inode=7)
FILE = StoredFile(key="n:/d/a", size=3, checksum=1, mtime_ns=5, mode=0o644, owner=Owner(0, 0))
NAMED = Index(directory="/d", names=("a",), files={"a": FILE})
OTHER_SIZE = replace(NAMED, files={"a": replace(FILE, size=4)})
OTHER_TIME = replace(NAMED, files={"a": replace(FILE, mtime_ns=6)})
MISSING = Index(directory="/d", names=(), missing=("a",))
ON_ITS_WAY = replace(MISSING, pending=("a",))
SILENT = Index(directory="/d", names=())
OF_1X = Index(directory="/d", names=("a",), format=1)


@pytest.mark.parametrize(
    ("newest", "backup", "key_taken", "verify", "verdict"),
    [
        (NAMED, False, True, False, STORED),
        (NAMED, True, True, False, STORED),
        (NAMED, False, True, True, COMPARED),
        (NAMED, True, False, True, COMPARED),
        (None, False, False, False, LEFT_ALONE),
        (None, False, True, False, LEFT_ALONE),
        (None, True, False, False, UPLOADED),
        (None, True, True, False, COMPARED),
        (MISSING, False, False, False, LEFT_ALONE),
        (MISSING, False, True, False, LEFT_ALONE),
        (MISSING, True, False, False, UPLOADED),
        (MISSING, True, True, False, COMPARED),
        (ON_ITS_WAY, False, False, False, UPLOADED),
        (ON_ITS_WAY, False, True, False, COMPARED),
        (SILENT, False, False, False, UPLOADED),
        (SILENT, False, True, False, COMPARED),
        (OTHER_SIZE, False, True, False, COMPARED),
        (OTHER_TIME, False, True, False, COMPARED),
        (OTHER_TIME, False, False, False, UPLOADED),
        (OF_1X, False, True, False, COMPARED),
        (OF_1X, False, False, False, UPLOADED),
    ],
)
def test_what_becomes_of_a_file_found_at_start(
    newest: Index | None, backup: bool, key_taken: bool, verify: bool, verdict: Verdict
) -> None:
    assert judge("a", HERE, newest, backup=backup, key_taken=key_taken, verify=verify) is verdict
