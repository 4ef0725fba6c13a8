"""What the daemon makes of a command line."""

import re
import socket
from pathlib import Path

import pytest

from tablesnap.cli.tablesnap.options import Options, parse
from tablesnap.errors import UsageError

MIB = 1 << 20


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the directories one, two and three in it."""
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def patterns(found: tuple[re.Pattern[str], ...]) -> list[str]:
    return [pattern.pattern for pattern in found]


def complaint(*argv: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        parse(argv, environ or {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_flags_all_defaults_are_those_of_0_7_3(places: Path) -> None:
    options = parse(["bucket", "one"], {})

    settings = options.settings
    assert (settings.prefix, settings.separator, settings.threads) == ("", ":", 4)
    assert settings.node == socket.getfqdn()
    assert settings.events == {"IN_MOVED_TO"}
    assert (settings.recursive, settings.auto_add, settings.backup, settings.verify_on_start) == (False,) * 4
    assert (settings.with_index, settings.delete_on_backup, settings.retries) == (True, False, None)
    assert (settings.base_interval, settings.index_interval, settings.pin_limit) == (24 * 3600, 10, None)
    assert (options.store.multipart_above, options.store.part_size) == (5120 * MIB, 256 * MIB)
    assert options.store.access_key is None
    assert options.store.encryption is None
    assert options.store.storage_class is None
    assert settings.paths == (str(places / "one"),)


def test_who_pays_and_who_may_have_the_objects_is_told_to_the_store(places: Path) -> None:
    store = parse(["--request-payer", "--acl", "bucket-owner-full-control", "bucket", "one"], {}).store

    assert (store.request_payer, store.acl) == (True, "bucket-owner-full-control")


def test_every_long_flag_of_the_predecessor_keeps_its_meaning(places: Path) -> None:
    line = (
        "--aws-key K --aws-secret S --aws-token T --aws-region eu-south-1 --recursive --auto-add --backup "
        "--reduced-redundancy --prefix p- --without-index --with-sse --keyname-separator / --threads 7 --name node1 "
        "--md5-on-start --listen-events IN_CREATE --listen-events IN_CLOSE_WRITE --delete-on-backup --exclude x "
        "--max-upload-size 100 --multipart-chunk-size 10 --retries 3 bucket one two"
    )

    options = parse(line.split(), {})

    settings, store = options.settings, options.store
    assert (store.access_key, store.secret_key, store.session_token, store.region) == ("K", "S", "T", "eu-south-1")
    assert (settings.recursive, settings.auto_add, settings.backup, settings.verify_on_start) == (True,) * 4
    assert (store.storage_class, store.encryption) == ("REDUCED_REDUNDANCY", "AES256")
    assert (settings.prefix, settings.separator, settings.node) == ("p-", "/", "node1")
    assert (settings.with_index, settings.delete_on_backup) == (False, True)
    assert (settings.threads, settings.retries) == (7, 3)
    assert settings.events == {"IN_CREATE", "IN_CLOSE_WRITE"}
    assert (store.multipart_above, store.part_size) == (100 * MIB, 10 * MIB)
    assert patterns(settings.selection.exclude) == ["x"]


def test_every_short_flag_of_the_predecessor_keeps_its_meaning(places: Path) -> None:
    line = "-raBR -kK -s S -pp- -t7 -n node1 -i x bucket one"

    options = parse(line.split(), {})

    settings, store = options.settings, options.store
    assert (settings.recursive, settings.auto_add, settings.backup) == (True, True, True)
    assert (store.storage_class, store.access_key, store.secret_key) == ("REDUCED_REDUNDANCY", "K", "S")
    assert (settings.prefix, settings.threads, settings.node) == ("p-", 7, "node1")
    assert patterns(settings.selection.include) == ["x"]


@pytest.mark.parametrize("flag", ["--ex", "--e"])
def test_a_new_flag_does_not_make_an_old_abbreviation_ambiguous(places: Path, flag: str) -> None:
    options = parse([flag, "x", "bucket", "one"], {})

    assert patterns(options.settings.selection.exclude) == ["x"]


@pytest.mark.parametrize(
    ("line", "expected", "paths"),
    [
        ("-e A B -r bucket one", ["A", "B"], ["one"]),
        ("-e A -e B bucket one", ["A", "B"], ["one"]),
        ("-e A bucket one", ["A"], ["one"]),
        ("-e A B bucket one two", ["A", "B"], ["one", "two"]),
        ("-e A B -e C D bucket one", ["A", "B", "C", "D"], ["one"]),
        ("bucket -e A one", ["A"], ["one"]),
        ("bucket -e A B one two", ["A", "B"], ["one", "two"]),
        ("bucket one -e A B", ["A", "B"], ["one"]),
        ("bucket one -e A two", ["A", "two"], ["one"]),
        ("-e A bucket -r one", ["A"], ["one"]),
        ("-e A bucket ./one -r two", ["A"], ["one", "two"]),
        ("-e A bucket -r ./one two", ["A"], ["one", "two"]),
        ("-e A bucket one -e B", ["A", "B"], ["one"]),
        ("-e A B -- bucket one", ["A", "B"], ["one"]),
        ("-eA bucket one", ["A"], ["one"]),
        ("-e=-tmp bucket one", ["-tmp"], ["one"]),
        ("--exclude=A bucket one", ["A"], ["one"]),
        ("-re A bucket one", ["A"], ["one"]),
        ("-r bucket -e A -B one", ["A"], None),
        ("bucket -r one -B -e A -a two", ["A"], ["one", "two"]),
    ],
)
def test_patterns_bucket_and_paths_are_told_apart_as_they_are_meant(
    places: Path, line: str, expected: list[str], paths: list[str] | None
) -> None:
    for flag, long in (("-e", "--exclude"), ("-i", "--include")):
        argv = [word.replace("--exclude", long) if word.startswith("--") else word for word in line.split()]
        argv = [re.sub("^-(r?)e", rf"-\1{flag[1]}", word) for word in argv]

        options = parse(argv, {})

        selection = options.settings.selection
        assert patterns(selection.exclude if flag == "-e" else selection.include) == expected
        assert str(options.address) == "s3://bucket"
        assert options.settings.paths == tuple(str(places / name) for name in paths or ["one"])


def test_a_path_that_is_missing_after_a_pattern_is_named(places: Path) -> None:
    assert "'/nowhere' does not exist" in complaint("-e", "A", "B", "bucket", "/nowhere")
    assert "'nowhere' does not exist" in complaint("-e", "A", "bucket", "nowhere")
    assert "'/nowhere' does not exist" in complaint("-e", "A", "bucket", "./one", "/nowhere")
    assert "'/nowhere' does not exist" in complaint("-e", "A", "bucket", "/nowhere", "./one")
    assert "PATH is missing after 'bucket'" in complaint("-e", "A", "bucket")


def test_an_empty_exclude_counts_as_none(places: Path) -> None:
    options = parse(["-e", "", "bucket", "one"], {})

    assert options.settings.selection.selects("/x/nb-1-big-Data.db")
    assert not options.settings.selection.selects("/x/nb-tmp-1-big-Data.db")


@pytest.mark.parametrize(
    "key",
    [
        "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "alias/backups",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "mrk-1234abcd12ab34cd56ef1234567890ab",
    ],
)
def test_with_sse_takes_what_looks_like_a_key(places: Path, key: str) -> None:
    options = parse(["--with-sse", key, "bucket", "one"], {})

    assert options.store.encryption == key
    assert str(options.address) == "s3://bucket"


@pytest.mark.parametrize("line", ["--with-sse bucket one", "bucket --with-sse one", "--with-s bucket one"])
def test_with_sse_does_not_swallow_the_bucket(places: Path, line: str) -> None:
    options = parse(line.split(), {})

    assert options.store.encryption == "AES256"
    assert str(options.address) == "s3://bucket"


def test_with_sse_takes_anything_after_an_equals_sign(places: Path) -> None:
    assert parse(["--with-sse=mine", "bucket", "one"], {}).store.encryption == "mine"


def test_a_prefix_of_the_bucket_goes_in_front_of_the_other(places: Path) -> None:
    options = parse(["-p", "x-", "s3://bucket/prod", "one"], {})

    assert options.settings.prefix == "prod/x-"
    assert str(options.address) == "s3://bucket"


def test_paths_are_absolute_keep_their_links_and_count_once(places: Path) -> None:
    (places / "link").symlink_to(places / "one")

    options = parse(["bucket", "one", "./one/", "link", f"/{places}/one"], {})

    assert options.settings.paths == (str(places / "one"), str(places / "link"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("1.5", 1.5), ("45s", 45), ("30m", 1800), ("12h", 43200), ("1d", 86400), ("2w", 1209600)],
)
def test_a_duration_is_seconds_or_says_its_unit(places: Path, text: str, seconds: float) -> None:
    options = parse(["--base-interval", text, f"--index-interval={text}", "bucket", "one"], {})

    assert (options.settings.base_interval, options.settings.index_interval) == (seconds, seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("8k", 8192), ("500M", 500 * MIB), ("1.5G", 1536 * MIB), ("2TiB", 2 << 40)],
)
def test_a_size_is_bytes_or_says_its_binary_unit(places: Path, text: str, size: int) -> None:
    assert parse(["--pin-limit", text, "bucket", "one"], {}).settings.pin_limit == size


@pytest.mark.parametrize(
    ("line", "bucket", "paths", "expected"),
    [
        ("--explain bucket one", "s3://bucket", ["one"], []),
        ("--explain one two", None, ["one", "two"], []),
        ("--explain one/file", None, ["one/file"], []),
        ("bucket one/file two --explain", "s3://bucket", ["one/file", "two"], []),
        ("--explain -r -a -B -e A B bucket one", "s3://bucket", ["one"], ["A", "B"]),
        ("--explain -r -e A bucket -B one", "s3://bucket", ["one"], ["A"]),
        ("one --explain -e A B", None, ["one"], ["A", "B"]),
        ("--explain ./one -e A", None, ["one"], ["A"]),
        ("--explain s3://one one", "s3://one", ["one"], []),
    ],
)
def test_explain_takes_a_daemons_line_or_paths_alone_which_may_be_files(
    places: Path, line: str, bucket: str | None, paths: list[str], expected: list[str]
) -> None:
    (places / "one" / "file").touch()

    options = parse(line.split(), {})

    assert options.explain
    assert (str(options.address) if options.address else None) == bucket
    assert options.settings.paths == tuple(str(places / path) for path in paths)
    assert patterns(options.settings.selection.exclude) == expected


def credentials(options: Options) -> tuple[str | None, str | None, str | None]:
    return options.store.access_key, options.store.secret_key, options.store.session_token


def test_half_a_pair_of_keys_is_completed_from_the_environment(places: Path) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "EK", "AWS_SECRET_ACCESS_KEY": "ES", "AWS_SECURITY_TOKEN": "ET"}

    assert credentials(parse(["-k", "K", "bucket", "one"], environ)) == ("K", "ES", "ET")
    assert credentials(parse(["-s", "S", "bucket", "one"], environ)) == ("EK", "S", "ET")
    assert credentials(parse(["--aws-token", "T", "bucket", "one"], environ)) == ("EK", "ES", "T")
    assert credentials(parse(["bucket", "one"], environ)) == (None, None, None)
    assert credentials(parse(["-k", "", "-s", "", "bucket", "one"], environ)) == (None, None, None)


def test_a_session_token_is_not_taken_for_another_pair_of_keys(places: Path) -> None:
    environ = {"AWS_SESSION_TOKEN": "ET"}

    assert credentials(parse(["-k", "K", "-s", "S", "bucket", "one"], environ)) == ("K", "S", None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", ["BUCKET and PATH are missing"]),
        ("bucket", ["PATH is missing"]),
        ("./one", ["BUCKET is missing"]),
        ("./one bucket", ["BUCKET and PATH are swapped", "bucket ./one"]),
        ("one bucket", ["'bucket' does not exist", "BUCKET comes first: bucket one"]),
        ("bucket /nowhere", ["'/nowhere'", "does not exist"]),
        ("bucket file", ["'file'", "is not a directory"]),
        ("-e *.db bucket one", ["-e '*.db'", "at position 0", r"\*\.db"]),
        ("-e x -i y bucket one", ["-e and -i"]),
        ("--listen-events IN_DELETE bucket one", ["--listen-events", "IN_DELETE", "IN_CLOSE_WRITE"]),
        ("-t 0 bucket one", ["-t/--threads", "least is 1"]),
        ("-t many bucket one", ["-t/--threads", "'many'"]),
        ("--retries -1 bucket one", ["--retries", "least is 0"]),
        ("--base-interval daily bucket one", ["--base-interval", "'daily'", "12h"]),
        ("--base-interval 1y bucket one", ["--base-interval", "'1y'", "2w"]),
        ("--index-interval=-1 bucket one", ["--index-interval", "'-1'"]),
        ("--index-interval nan bucket one", ["--index-interval", "'nan'"]),
        ("--pin-limit 10% bucket one", ["--pin-limit", "'10%'", "20G"]),
        ("--max-upload-size 0 bucket one", ["--max-upload-size", "least is 1"]),
        ("--multipart-chunk-size 0 bucket one", ["--multipart-chunk-size", "least is 1"]),
        ("--multipart-chunk-size 4 bucket one", ["--multipart-chunk-size", "S3's minimum"]),
        ("-k K bucket one", ["AWS_SECRET_ACCESS_KEY"]),
        ("-s S bucket one", ["AWS_ACCESS_KEY_ID"]),
        ("--exlude x bucket one", ["--exlude", "--exclude"]),
        ("-rq bucket one", ["-q", "-rq"]),
        ("--re bucket one", ["--recursive", "--retries"]),
        ("--recursive=yes bucket one", ["--recursive takes no value"]),
        ("bucket one -n", ["-n needs a value"]),
        ("-e -tmp bucket one", ["-e needs a value", "-e="]),
        ("-R --storage-class STANDARD_IA bucket one", ["REDUCED_REDUNDANCY", "STANDARD_IA"]),
        ("--acl public-read bucket one", ["--acl", "bucket-owner-full-control"]),
        ("--request-payer=requester bucket one", ["--request-payer takes no value"]),
        ("--storage-class GLACIER bucket one", ["--storage-class GLACIER", "3 to 5 hours", "--archive", "GLACIER_IR"]),
        ("--storage-class DEEP_ARCHIVE bucket one", ["DEEP_ARCHIVE", "12 hours", "--archive"]),
        ("--storage-class Archive az://c one", ["Archive", "15 hours", "--archive"]),
        ("--archive bucket one", ["--archive", "--storage-class GLACIER"]),
        ("--archive --storage-class GLACIER_IR bucket one", ["--archive", "leave it out"]),
        ("--endpoint-url host:9000 bucket one", ["--endpoint-url", "write http://host:9000 or https://host:9000"]),
        ("--endpoint-url s3.example.org bucket one", ["--endpoint-url", "http://s3.example.org"]),
        ("--endpoint-url ftp://host bucket one", ["--endpoint-url", "http://HOST:PORT"]),
        ("https://s3.example.org/bucket one", ["--endpoint-url https://s3.example.org,"]),
        ("--ca-bundle /nowhere.pem bucket one", ["--ca-bundle", "/nowhere.pem"]),
        ("ftp://x one", ["ftp://x"]),
        ("--json bucket one", ["--json", "--explain", "--log-format json"]),
        ("--explain --without-index bucket one", ["--explain", "--without-index"]),
        ("--explain", ["PATH is missing", "--explain my-bucket"]),
        ("--explain bucket", ["PATH is missing"]),
        ("--explain bucket ./nowhere", ["'./nowhere' does not exist"]),
        ("--explain one /nowhere", ["'/nowhere' does not exist"]),
        ("--explain ./one bucket", ["'bucket' does not exist", "it comes first: bucket ./one"]),
    ],
)
def test_a_wrong_line_is_answered_with_which_word_and_what_to_try(places: Path, line: str, said: list[str]) -> None:
    (places / "file").touch()

    answer = complaint(*line.split())

    for words in said:
        assert words in answer


@pytest.mark.parametrize(
    ("line", "chosen"),
    [
        ("--storage-class GLACIER --archive bucket one", "GLACIER"),
        ("--storage-class DEEP_ARCHIVE --archive bucket one", "DEEP_ARCHIVE"),
        ("--storage-class GLACIER_IR bucket one", "GLACIER_IR"),
        ("--storage-class ARCHIVE gs://bucket one", "ARCHIVE"),
        ("--explain --storage-class GLACIER --archive ./one", "GLACIER"),
    ],
)
def test_a_storage_class_that_cannot_be_read_at_once_is_taken_where_that_is_meant(
    places: Path, line: str, chosen: str
) -> None:
    assert parse(line.split(), {}).store.storage_class == chosen


def test_a_store_inside_a_watched_path_is_refused_whatever_link_leads_there(places: Path) -> None:
    (places / "link").symlink_to(places / "one")
    (places / "one" / "store").mkdir()

    assert "inside the watched PATH" in complaint(f"file://{places}/link/store", "one")
    assert "inside the watched PATH" in complaint(f"file://{places}/one", "link")
    assert "inside the store" in complaint(f"file://{places}", "one")
    assert parse([f"file://{places}/one-store", "one"], {}).settings.paths
