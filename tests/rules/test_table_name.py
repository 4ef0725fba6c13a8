"""A table by the name that people call it."""

import pytest

from tablesnap.rules.table_name import table_name

ID = "5a1c395e" * 4
USERS = f"/var/lib/cassandra/data/shop/users-{ID}"


@pytest.mark.parametrize(
    "text",
    [
        "shop.users",
        "shop/users",
        f"shop/users-{ID}",
        "/var/lib/cassandra/data/shop/users",
        "/var/lib//cassandra/data/shop/users/",
        "/var/lib/cassandra/data/shop/users-5a1c",
        "/var/lib/cassandra/data/shop/users-",
        USERS,
    ],
)
def test_a_table_is_called_by_its_name_or_by_its_directory_with_the_id_cut_short(text: str) -> None:
    name = table_name(text)

    assert name is not None
    assert name.fits(USERS)


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ("shop.users", f"/data/shop/users_archive-{ID}"),
        ("shop.users", f"/data/shop2/users-{ID}"),
        ("shop.users", f"/data/shop/users-{ID}/snapshots/s1"),
        ("shop.users", "/data/shop/users"),
        ("shop.users-0b", USERS),
        ("/var/lib/cassandra/data2/shop/users", USERS),
        ("/cassandra/data/shop/users", USERS),
    ],
)
def test_another_table_or_another_data_directory_is_not_called_so(text: str, directory: str) -> None:
    name = table_name(text)

    assert name is not None
    assert not name.fits(directory)


@pytest.mark.parametrize("text", ["/", "/data", "users", "shop.", "a.b.c", "./shop.users", "../shop/users", "sh op.us"])
def test_what_names_no_table_is_told_apart(text: str) -> None:
    assert table_name(text) is None
