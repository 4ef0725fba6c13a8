"""Indexes that nobody of ours wrote."""

import copy
import json
import os
from datetime import datetime
from typing import Any

from tablesnap.checksum import crc64nvme, to_hex

DATA = "/var/lib/cassandra/data/shop"
BODY = b"hello"
SUM = to_hex(crc64nvme(BODY))
MTIME = 1_700_000_000_000_000_000
MODE = 0o100644


def files(
    name: str = "a.txt", *, size: int = len(BODY), mtime: int = MTIME, mode: int = MODE, key: str = ""
) -> dict[str, Any]:
    return {"files": {name: [size, SUM, mtime, mode, 0, *([key] if key else [])]}}


def moments(text: str) -> dict[str, Any]:
    return {"taken_at": text, "seen_at": text}


# By what is odd about it: what an index says in the place of what we write.
HOSTILE: dict[str, dict[str, Any]] = {
    "mtime_huge": files(mtime=10**30),
    "mtime_early": files(mtime=-(10**25)),
    "mtime_late": files(mtime=253402300799 * 10**9),
    "uid_huge": {"owners": [[2**40, 2**40, None, None]]},
    "uid_none": {"owners": [[2**32 - 1, 2**32 - 1, None, None]]},
    "owner_nul": {"owners": [[0, 0, "root\0", "\0"]]},
    "owner_escape": {"owners": [[0, 0, "ev\x1b[2Jil\u202e", "<b>"]]},
    "mode_huge": files(mode=2**70 + 0o4755),
    "size_huge": files(size=10**40),
    "size_endless": files(size=10**330),
    "size_lies": files(size=2**62),
    "moment_last": moments("9999-12-31T23:59:59.999999Z"),
    "moment_after_last": moments("9999-12-31T23:59:59.999999-14:00"),
    "moment_first": moments("0001-01-01T00:00:00Z"),
    "moment_before_first": moments("0001-01-01T00:00:00+14:00"),
    "serial_huge": {"serial": 10**4000},
    "name_nul": files("a\0b"),
    "name_above": files("../../../../tmp/pwned"),
    "name_dots": files(".."),
    "name_absolute": files("/tmp/pwned"),
    "name_surrogate": files("a\ud800"),
    "name_long": files("a" * 300),
    "name_escape": files("a\x1b[31mRED\x07\u202egpj"),
    "name_log": files("nb_txn_flush_5a1c395e-0000-11ee-8000-000000000000.log"),
    "key_above": files(key="../../../../../../etc/hostname"),
    "key_nul": files(key="a\0"),
    "key_surrogate": files(key="a\ud800"),
    "missing_escape": {"missing": ["x\x1b]0;pwned\x07\u202e"]},
    "others_relative": {"others": {"rel/x": {"key": "n:/x/", "files": {}}}},
    "others_above": {"others": {f"{DATA}/../../etc": {"key": "n:/x/", "files": {}}}},
    "live_surrogate": {"live": "\ud800"},
    "node_surrogate": {"node": "\ud800\x1b"},
    "latest_name": {"latest_name": "\ud800/.."},
    "latest_generation": {"latest_name": f"ks-cf-jb-{'9' * 5000}-Data.db"},
    "size_nested": files(size=json.loads("[" * 300 + "]" * 300)),
    "covers": {"covers": ["/", "rel", "\0"]},
    "next": {"next": ["\0", "../..", ""]},
    "whole_itself": {"files": {}, "whole": f"node1:{DATA}/whole_itself-{'bad0' * 8}/a.txt-listdir.json"},
}


def index_of(directory: str, below: str, odd: dict[str, Any], stored: datetime) -> bytes:
    """Return an index of a.txt in *directory*, which says what is *odd*; *below* begins the keys of what is there."""
    says: dict[str, Any] = {
        "format": 2,
        "node": "node1",
        **dict.fromkeys(("taken_at", "seen_at"), f"{stored:%Y-%m-%dT%H:%M:%SZ}"),
        "missing": [],
        "pending": [],
        "owners": [[os.geteuid(), os.getegid(), None, None]],
        "next": [],
        "live": "",
        **files(),
        **copy.deepcopy(odd),
    }
    for entry in says["files"].values():  # all of them are stored, and so complete
        entry += [f"{below}a.txt"] if len(entry) == 5 else []
    return json.dumps({directory: ["a.txt"], "tablesnap": says}).encode()
