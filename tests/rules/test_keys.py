"""Keys are a public API: every spelling here stands in buckets that exist."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablesnap.rules.keys import Keys, beside, directory_of, index_key, is_index, plain_of, spell_moment

MOMENT = datetime(2026, 11, 22, 20, 25, 17, 123456, tzinfo=UTC)

# What `os.fsdecode` can make of a name: any text, and the lone surrogates that stand for bytes that are no UTF-8.
_CHARACTERS = st.one_of(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
    st.integers(0xDC80, 0xDCFF).map(chr),
)
names = st.text(_CHARACTERS, min_size=1, max_size=12).filter(lambda name: name not in {".", ".."})
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
glue = st.text(st.sampled_from("ab:/-_."), max_size=6)


@pytest.mark.parametrize(
    ("prefix", "node", "separator", "path", "key"),
    [
        ("", "node1", ":", "/var/lib/x", "node1:/var/lib/x"),
        ("backups/", "node2", "/", "/var/lib/x", "backups/node2/var/lib/x"),
        ("backups", "node2", ":", "/x", "backupsnode2:/x"),
        ("/backups/", "n", ":", "/x", "backups/n:/x"),
        ("///", "n", ":", "/x", "n:/x"),
        ("a//b///", "n", "//", "/x", "a/b/n/x"),
        ("", "", "", "/x/y", "x/y"),
        ("", "n", "", "//x//y", "n/x/y"),
        ("", "n", ":", "/", "n:/"),
    ],
)
def test_a_key_is_prefix_node_separator_and_path_with_slashes_as_1x_left_them(
    prefix: str, node: str, separator: str, path: str, key: str
) -> None:
    assert Keys(prefix, node, separator).plain(path) == key


def test_bytes_that_are_no_utf8_are_spelt_out() -> None:
    assert Keys("", "n", ":").plain("/a/caf\udce9") == "n:/a/caf\\xe9"


@given(glue, glue, glue, paths)
def test_a_key_has_a_utf8_form_no_double_slash_and_none_in_front(
    prefix: str, node: str, separator: str, path: str
) -> None:
    key = Keys(prefix, node, separator).plain(path)

    key.encode("utf-8")
    assert "//" not in key
    assert not key.startswith("/")


@given(glue, glue, glue, paths, names)
def test_a_file_is_below_its_directory_and_what_follows_is_its_name(
    prefix: str, node: str, separator: str, directory: str, name: str
) -> None:
    keys = Keys(prefix, node, separator)

    key, below = keys.plain(f"{directory}/{name}"), keys.below(directory)

    assert key.startswith(below)
    assert directory_of(key) == below
    assert "/" not in key[len(below) :]


@pytest.mark.parametrize("directory", ["/data/users", "/data/users/", "/data/users//"])
def test_what_is_below_a_directory_is_not_below_one_whose_name_begins_alike(directory: str) -> None:
    keys = Keys("", "n", ":")

    assert keys.below(directory) == "n:/data/users/"
    assert not keys.plain("/data/users_archive/x").startswith(keys.below(directory))


@pytest.mark.parametrize(("prefix", "separator"), [("", ":"), ("", "/"), ("p/", "/")])
def test_the_root_directory_has_all_keys_below_it(prefix: str, separator: str) -> None:
    keys = Keys(prefix, "n", separator)

    assert keys.plain("/x").startswith(keys.below("/"))
    assert directory_of(keys.plain("/x")) == keys.below("/")


def test_other_content_gets_the_key_its_checksum_and_where_need_be_the_moment() -> None:
    assert beside("n:/x", 0xAB) == "n:/x~00000000000000ab"
    assert beside("n:/x", 0xAB, MOMENT) == "n:/x~00000000000000ab~20261122T202517123456Z"


def test_an_index_has_the_key_of_what_it_is_named_after() -> None:
    assert index_key("n:/x/nb-1-big-Data.db") == "n:/x/nb-1-big-Data.db-listdir.json"
    assert index_key("n:/x/nb-1-big-Data.db", MOMENT) == ("n:/x/nb-1-big-Data.db~20261122T202517123456Z-listdir.json")


def test_an_index_of_a_directory_that_holds_nothing_is_named_after_its_moment_alone() -> None:
    key = index_key(Keys("", "n", ":").below("/x"), MOMENT)

    assert key == "n:/x/~20261122T202517123456Z-listdir.json"
    assert is_index(key)
    assert directory_of(key) == "n:/x/"


@pytest.mark.parametrize(
    ("key", "verdict"),
    [
        ("n:/x/a-listdir.json", True),
        ("-listdir.json", True),
        ("n:/x/a-listdir.json~00", False),
        ("n:/x/a-LISTDIR.json", False),
        ("n:/x-listdir.json/a", False),
    ],
)
def test_an_index_is_known_by_the_end_of_its_key(key: str, verdict: bool) -> None:
    assert is_index(key) is verdict


def test_a_moment_is_spelt_in_utc_whatever_zone_it_is_given_in() -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert spell_moment(elsewhere) == spell_moment(MOMENT) == "20261122T202517123456Z"


@given(st.datetimes(min_value=datetime(2000, 1, 1)), st.datetimes(min_value=datetime(2000, 1, 1)))  # noqa: DTZ001 - given zones below
def test_moments_sort_as_text_as_they_do_in_time(one: datetime, other: datetime) -> None:
    first, second = one.replace(tzinfo=UTC), other.replace(tzinfo=UTC)

    assert (spell_moment(first) < spell_moment(second)) == (first < second)


@pytest.mark.parametrize("moment", [None, MOMENT])
@pytest.mark.parametrize("key", ["n:/x/nb-1-big-Data.db", "n:/x/a~b", "n:/x/a~00000000000000AB"])
def test_a_key_beside_another_tells_the_plain_one(key: str, moment: datetime | None) -> None:
    assert plain_of(key) == key
    assert plain_of(beside(key, 0xAB, moment)) == key
