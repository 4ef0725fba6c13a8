import pytest

from tablesnap.errors import UsageError
from tablesnap.store.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("backups", Address("s3", "backups")),
        ("my.old_Bucket-1", Address("s3", "my.old_Bucket-1")),
        ("s3://backups", Address("s3", "backups")),
        ("s3://backups/", Address("s3", "backups")),
        ("s3://backups/a", Address("s3", "backups", "a/")),
        ("s3://backups/a/b/", Address("s3", "backups", "a/b/")),
        ("s3://backups//a///b", Address("s3", "backups", "a/b/")),
        ("s3://backups/a%20b?c#d", Address("s3", "backups", "a%20b?c#d/")),
        ("gs://backups/a", Address("gs", "backups", "a/")),
        ("az://container/a", Address("az", "container", "a/")),
        ("az://$root", Address("az", "$root")),
        ("file:///var/backups", Address("file", "/var/backups")),
        ("file:///var/./backups/x/..//", Address("file", "/var/backups")),
        ("file:////var/backups", Address("file", "/var/backups")),
        ("file:/var/backups", Address("file", "/var/backups")),
    ],
)
def test_a_bucket_is_named_or_addressed_by_url(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "to_try"),
    [
        ("", "give a bucket's name"),
        ("backups/node1", "s3://backups/node1"),
        ("/var/backups", "file:///"),
        ("./backups", "file:///"),
        ("http://backups", "--endpoint-url http://backups"),
        ("S3://backups", "s3://BUCKET"),
        ("s3:backups", "s3://backups"),
        ("s3://", "s3://BUCKET"),
        ("s3:///a", "s3://BUCKET"),
        ("s3://back ups", "s3://BUCKET"),
        ("s3://backups/../x", "leave it out"),
        ("file://", "file:///DIRECTORY"),
        ("file://host/dir", "file:///DIRECTORY"),
        ("file:dir", "file:///DIRECTORY"),
        ("file:///", "a directory of its own"),
        ("file:///a\0b", "file:///DIRECTORY"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line_that_says_what_to_write(text: str, to_try: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_address(text)

    assert to_try in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["s3://backups/a/", "gs://backups", "file:///var/backups"])
def test_an_address_is_shown_as_it_may_be_written(text: str) -> None:
    assert str(parse_address(text)) == text
    assert parse_address(str(parse_address(text))) == parse_address(text)
