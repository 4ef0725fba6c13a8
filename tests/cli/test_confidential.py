"""No secret is in anything that a command writes, whatever goes wrong and however much is logged."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.process import CONSOLE_SCRIPT, UNANSWERED, environment, running
from tests.endpoint import S3Server

from tablesnap.cli.line.confidential import without_secrets
from tablesnap.cli.line.flags import SECRETS
from tablesnap.cli.line.secrets import secrets_in
from tablesnap.cli.tablesnap.flags import grammar_of, make_parser

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY="
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN//////////wEaCXVzLWVhc3QtMSJGMEQ"
PASSWORD = "pa55word"
READERS = ("tablelist", "tablecheck", "tablechop", "tableslurp")
DIRECTORY = "/var/lib/data"
WORDS = {
    "tablelist": [DIRECTORY],
    "tablecheck": [DIRECTORY],
    "tablechop": [DIRECTORY, "1"],
    "tableslurp": [DIRECTORY, "/tmp/nowhere/at/all"],
    "tablesnap": [str(Path(__file__).parent)],
}


def run(command: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    script = f"import sys; from tablesnap.cli.{command}.main import main; sys.exit(main())"
    words = [sys.executable, "-c", script, *arguments]
    return subprocess.run(words, capture_output=True, text=True, env=environment(**more), timeout=UNANSWERED)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:pa55word@host:9000/x refused", "http://(hidden)@host:9000/x refused"),
        ("by the proxy http://u:p@ss@proxy:3128", "by the proxy http://(hidden)@proxy:3128"),
        (
            "headers={'x-amz-security-token': b'abc+/=', 'Host': 'h'}",
            "headers={'x-amz-security-token': b'(hidden)', 'Host': 'h'}",
        ),
        ("X-Amz-Security-Token: abc+/=", "X-Amz-Security-Token: (hidden)"),
        (
            "https://a.blob.core.windows.net/c?sv=1&sig=ab%2Bc&se=2",
            "https://a.blob.core.windows.net/c?sv=1&sig=(hidden)&se=2",
        ),
        ("s3://bucket/node:/d/a@b was uploaded", "s3://bucket/node:/d/a@b was uploaded"),
        ("mail me@example.org, https://host/a@b", "mail me@example.org, https://host/a@b"),
    ],
)
def test_a_secret_is_told_by_its_look(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize("command", [*READERS, "tablesnap"])
@pytest.mark.parametrize("place", ["flag", "bucket", "environment"])
def test_a_password_in_an_address_is_refused_and_not_repeated(command: str, place: str) -> None:
    address = f"http://user:{PASSWORD}@127.0.0.1:9"
    keys = {"AWS_ACCESS_KEY_ID": "K", "AWS_SECRET_ACCESS_KEY": SECRET, "TDEBUG": "1"}
    if place == "flag":
        done = run(command, "--endpoint-url", address, "bucket", *WORDS[command], **keys)
    elif place == "bucket":
        done = run(command, f"{address}/bucket", *WORDS[command], **keys)
    else:
        done = run(command, "bucket", *WORDS[command], AWS_ENDPOINT_URL=address, **keys)

    assert done.returncode == (1 if place == "environment" else 2), done.stderr
    assert "a user or a password" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_a_password_in_any_word_is_hidden_from_the_process_list() -> None:
    words = ["-s", SECRET, "--endpoint-url=http://u:p@h:1", "http://v:q@h/b", "/data"]

    found = secrets_in(words, grammar_of(make_parser()[1]), dests=SECRETS)

    assert [(one.text, words[one.argument][one.offset : one.offset + len(one.text)]) for one in found] == [
        (SECRET, SECRET),
        ("u:p", "u:p"),
        ("v:q", "v:q"),
    ]


@pytest.mark.parametrize("command", [*READERS, "tablesnap"])
def test_nothing_that_takes_long_is_loaded_before_the_secrets_are_hidden(command: str) -> None:
    script = f"import sys, tablesnap.cli.{command}.main; print([one for one in {HEAVY} if one in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=True)

    assert done.stdout == "[]\n"


HEAVY = ("botocore", "obstore", "rich", "urllib3", "tablesnap.daemon.service", "tablesnap.store.s3")


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("is_there", [False, True])
def test_no_reader_writes_a_secret_not_even_where_it_logs_all_it_does(
    command: str, is_there: bool, moto_endpoint: S3Server, tmp_path: Path
) -> None:
    bucket = "confidential"
    if is_there:
        moto_endpoint.make_bucket(bucket)
    access = ["-k", "AKIAEXAMPLE", "-s", SECRET, "--token" if command == "tableslurp" else "--aws-token", TOKEN]
    more = {"tablecheck": ["--textfile", str(tmp_path / "check.prom"), "--json"], "tableslurp": ["--json"]}
    where = ["--endpoint-url", moto_endpoint.endpoint_url, "--aws-region", "us-east-1", *more.get(command, ["--json"])]

    done = run(command, *access, *where, bucket if is_there else "absent", *WORDS[command], TDEBUG="1")

    written = done.stdout + done.stderr + "".join(path.read_text() for path in tmp_path.iterdir())
    assert written
    assert [secret for secret in (SECRET, TOKEN) if secret in written] == []


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_daemon_writes_no_secret_not_even_where_it_logs_all_it_does(
    log_format: str, moto_endpoint: S3Server, tmp_path: Path
) -> None:
    moto_endpoint.make_bucket("confidential-daemon")
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_bytes(b"content")
    access = ["-k", "AKIAEXAMPLE", "-s", SECRET, "--aws-token", TOKEN, "--log-format", log_format]
    where = ["--endpoint-url", moto_endpoint.endpoint_url, "--aws-region", "us-east-1"]

    with running(
        [*access, *where, "-B", "confidential-daemon", str(data)],
        script=f"import os; os.environ['TDEBUG'] = '1'; {CONSOLE_SCRIPT}",
    ) as command:
        command.wait_for("all files are stored")
        command.process.terminate()
        command.wait()

    assert [secret for secret in (SECRET, TOKEN) if secret in "".join(command.lines)] == []
