"""What the fuzzer begins with: what is real, and what is known to be odd."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.fuzz import harnesses
from tests.fuzz.documents import DIRECTORY, FULL, NOW, REAL, WORDS
from tests.fuzz.test_fuzz import LISTING, NAMES, ODD_TEXTS, PARTS, TIMES, WORDS_OF_TYPES
from tests.hostile import index_of
from tests.rules.test_sstable import REAL as SSTABLES
from tests.rules.test_txnlog import COMMITTED, JBOD

TESTS = Path(__file__).parent.parent


def _indexes() -> Iterable[bytes]:
    yield from (text.encode() for text in REAL)
    yield index_of(DIRECTORY, "", FULL, NOW)
    # Those of 1.x among them.
    yield from (blob.read_bytes() for blob in sorted((TESTS / "golden/tablesnap-1.2.1/blobs").iterdir()))


def _names() -> Iterable[bytes]:
    texts = [*NAMES, *WORDS, *(stem + name for (stem, _), names in SSTABLES.items() for name in names.split())]
    return (text.encode("utf-8", "surrogatepass") for text in texts)


def _headers() -> Iterable[bytes]:
    return (file.read_bytes() for file in sorted((TESTS / "rules/statistics").glob("*.db")))


def _moments() -> Iterable[bytes]:
    return [b"2026-11-22T20:25:17.123456+01:00", b"2026-11-22 20:25", b"1.5 days ago", b"2026-W47-7"]


def _types() -> Iterable[bytes]:
    return [f"{one}({other})\n{other}".encode() for one in WORDS_OF_TYPES for other in WORDS_OF_TYPES]


SEEDS: Mapping[str, tuple[Callable[[bytes], None], Callable[[], Iterable[bytes]]]] = {
    "index": (harnesses.index, _indexes),
    "name": (lambda data: harnesses.name(data.decode("utf-8", "surrogateescape")), _names),
    "log": (lambda data: harnesses.log(data.split(b"\0")), lambda: [COMMITTED, JBOD + b"\0" + JBOD[:-7], b""]),
    "moment": (lambda data: harnesses.moment_in_words(data.decode("utf-8", "surrogateescape")), _moments),
    "header": (harnesses.header, _headers),
    "types": (lambda data: harnesses.types_of_columns(*_two_texts(data)), _types),
    "listing": (harnesses.listing, lambda: [LISTING.encode(), b"<Error><Code>SlowDown</Code></Error>"]),
}
# Words that the fuzzer puts in, which it would hardly find.
DICTIONARY = [*PARTS, *TIMES, *ODD_TEXTS, *WORDS_OF_TYPES, *FULL, "tablesnap", "format", "owners", "files"]


def _two_texts(data: bytes) -> tuple[str, str]:
    one, _, other = data.decode("utf-8", "replace").partition("\n")
    return one, other
