"""Indexes as nobody writes them: real ones, and what is odd already, changed in a few places."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from hypothesis import strategies as st
from tests.hostile import DATA, HOSTILE, index_of

NOW = datetime(2026, 11, 22, 20, 25, 17, tzinfo=UTC)
DIRECTORY = f"{DATA}/users-{'5a1c395e' * 4}"
BELOW = f"node1:{DIRECTORY}/"
OF_1X = json.dumps({DIRECTORY: ["nb-1-big-Data.db", "nb-1-big-TOC.txt", "snapshots"]})

# All that an index of ours may say.
_MOMENT = "2026-11-22T20:25:17.123456Z"
_FILE = [3, "0000000000000007", 5, 0o100644, 0]
FULL: dict[str, Any] = {
    "until": _MOMENT,
    "serial": 7,
    "writer": {"machine": "m", "host": "node1", "run": "r"},
    "missing": ["nb-2-big-Data.db"],
    "pending": ["nb-2-big-Data.db"],
    "next": [f"{BELOW}nb-3-big-Data.db"],
    "live": "0123",
    "others": {f"{DIRECTORY}/.by_name": {"key": f"{BELOW}.by_name/", "files": {"nb-1-big-Data.db": _FILE}}},
    "covers": [DIRECTORY],
    "unexplained": ["nb-1-big-"],
    "latest_name": "nb-1-big-Data.db",
    "behind": [".by_name"],
    "late": [{"index": ".by_name", "from": _MOMENT, "until": _MOMENT}],
    "later": {"a": [1, {}]},
}


@dataclass(frozen=True)
class Raw:
    """A value as it is spelt, which need be no JSON."""

    text: str


class Members(list[Any]):
    """An object, as a list of its members; each is a list of its name and its value. A name may come twice."""


Tree: TypeAlias = "Raw | list[Tree]"


def tree_of(text: str) -> Tree:
    """Return the tree that a JSON document is."""
    return _tree(json.loads(text, object_pairs_hook=lambda pairs: Members(map(_tree, map(list, pairs)))))


def _tree(value: object) -> Tree:
    if isinstance(value, (Raw, Members)):
        return value
    return [_tree(one) for one in value] if isinstance(value, list) else Raw(json.dumps(value))


def spell(tree: Tree, comma: str = ",", colon: str = ":") -> str:
    """Spell a tree."""
    if isinstance(tree, Raw):
        return tree.text
    if not isinstance(tree, Members):
        return f"[{comma.join(spell(one, comma, colon) for one in tree)}]"
    members = (
        one.text if isinstance(one, Raw) else colon.join(spell(part, comma, colon) for part in one) for one in tree
    )
    return f"{{{comma.join(members)}}}"


REAL = [
    OF_1X,
    index_of(DIRECTORY, BELOW, {}, NOW).decode(),
    index_of(DIRECTORY, BELOW, FULL, NOW).decode(),
    index_of(DIRECTORY, BELOW, {"files": {}, "whole": f"{BELOW}nb-1-big-Data.db-listdir.json"}, NOW).decode(),
    *(index_of(DIRECTORY, BELOW, odd, NOW).decode() for odd in HOSTILE.values()),
]

NUMBERS = ["-0", "0.0", "1e400", "-1", "NaN", "-Infinity", "9" * 4300, "9" * 5000, "1" + "0" * 330, "1E2", "007"]
NUMBERS += [str(one + by) for one in (2**16, 2**32, 2**53, 2**63, 2**64) for by in (-2, -1, 0)]
WORDS = [
    "",
    ".",
    "..",
    "/",
    "//",
    "\0",
    "\ud800",
    "\udcff",
    "\x1b[2J\u202e",
    "../" * 30 + "etc/passwd",
    "e\u0301" * 9,
    "a" * 70_000,  # more than is taken in at a time
    "-listdir.json",
    f"{BELOW}a~0123456789abcdef~20261122T202517123456Z-listdir.json",
    "~99999999T999999999999Z",
    f"nb-{'9' * 5000}-big-Data.db",
    f"ks-cf-jb-{'9' * 5000}-Data.db",
    f"CommitLog-7-{'9' * 5000}.log",
    "nb-3fw2_0tj4_46w3k2cpidnirvjy7k-big-Data.db",
    "nb_txn_flush_0a3c2f10-1111-11ee-8c99-0242ac120002.log",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00",
    "2026-11-22",
    "1970-01-01T00:00:00Z",
    "8999-12-31T23:59:59.999999Z",
    "2026-11-22T20:25:17.123456Z",
    "2026-W47-7T20+00:00:00.000001",
    "0000000000000007",
    "tablesnap",
    "format",
    "files",
    DIRECTORY,
    BELOW,
]

numbers = st.sampled_from(NUMBERS) | st.integers(-(2**70), 2**70).map(str)
words = (st.sampled_from(WORDS) | st.text(max_size=9)).map(json.dumps)
no_json = st.sampled_from(["", "'a'", '"', '"\n"', '"\\x"', "\ufeff1", "tru"])
deep = st.builds(
    lambda begin, end, depth: begin * depth + "0" + end * depth,
    st.sampled_from(["[", '{"a":']),
    st.sampled_from(["]", "}"]),
    st.sampled_from([2, 8, *range(960, 1000), 100_000]),
)
values = st.sampled_from(["null", "true", "[]", "{}"]) | numbers | words | no_json | deep


def _instead_of(part: Tree) -> st.SearchStrategy[Raw]:
    """Draw what stands in the place of a part, of the same kind or not."""
    if isinstance(part, list):
        return values.map(Raw)
    return ((words if part.text.startswith('"') else numbers) | values).map(Raw)


def _places(whole: list[Any]) -> list[tuple[list[Any], int]]:
    """Return where each part is: in which list, and at which place."""
    found = [(whole, place) for place in range(len(whole))]
    return found + [place for part in whole if isinstance(part, list) for place in _places(part)]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Draw an index of which up to three parts are something else, come twice, or are gone."""
    document = [tree_of(draw(st.sampled_from(REAL[:4]) | st.sampled_from(REAL)))]
    for _ in range(draw(st.integers(0, 3))):
        whole, place = draw(st.sampled_from(_places(document)))
        match draw(st.sampled_from(["another", "another", "gone", "twice", "within", "turned"])):
            case "another":
                whole[place] = draw(_instead_of(whole[place]))
            case "gone" if whole is not document:
                del whole[place]
            case "twice" if whole is not document:
                whole.insert(place, whole[place])
            case "within":
                whole[place] = [whole[place]]
            case "turned":
                whole.reverse()
    if draw(st.integers(0, 9)):
        return spell(document[0])
    return spell(
        document[0], draw(st.sampled_from(["\r\n,\t", ",,", ""])), draw(st.sampled_from(["\n:" + " " * 9000, "::"]))
    )


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw the bytes of an index: some in another encoding, some without a few bytes, or with others in their place."""
    text = draw(texts())
    if draw(st.integers(0, 3)):
        return text.encode("utf-8", "replace")
    body = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])), "replace")
    at, size = draw(st.integers(0, len(body))), draw(st.integers(0, 99))
    return draw(st.sampled_from([body, body[:at] + draw(st.binary(max_size=9)) + body[at + size :]]))
