"""A daemon whose keys may put and not delete, on a server that enforces it: whoever steals them deletes no backup."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import botocore.exceptions
import pytest
from tests.cli.process import CONSOLE_SCRIPT, environment, running
from tests.endpoint import S3Server
from tests.s3_servers import ACCESS_KEY, SECRET_KEY, VERSITYGW, server_of, versitygw_program

pytestmark = pytest.mark.servers

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "operations.md"
BUCKET = "my-bucket"  # as the guide has it
WRITER, WRITERS_SECRET = "writer", "the-secret-of-the-writer"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    """A server with the guide's bucket, and a user who may do there what the guide says."""
    (tmp_path / "iam").mkdir()
    with server_of(VERSITYGW, "--iam-dir", str(tmp_path / "iam")) as server:
        program = versitygw_program()
        assert program is not None
        admin = ["admin", "-a", ACCESS_KEY, "-s", SECRET_KEY, "--endpoint-url", server.endpoint_url]
        user = ["create-user", "-a", WRITER, "-s", WRITERS_SECRET, "-r", "user"]
        subprocess.run([program, *admin, *user], check=True, capture_output=True, env=environment())
        server.make_bucket(BUCKET)
        server.client().put_bucket_policy(Bucket=BUCKET, Policy=policy())
        yield server


def policy() -> str:
    """Return the policy of the guide, for the writer."""
    found = re.search(r"## What it may do on S3\n\n```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    said = json.loads(found[1])
    for statement in said["Statement"]:
        statement["Principal"] = {"AWS": [WRITER]}
    return json.dumps(said)


def test_what_the_guide_allows_is_enough_to_back_up_and_too_little_to_delete(server: S3Server, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(2):  # the second run finds what the first has stored
        (data / f"file{number}").write_bytes(b"content")
        access = [
            "-k",
            WRITER,
            "-s",
            WRITERS_SECRET,
            "--endpoint-url",
            server.endpoint_url,
            "--aws-region",
            "us-east-1",
        ]
        with running([*access, "-n", "node1", "-B", BUCKET, str(data)], script=CONSOLE_SCRIPT) as daemon:
            daemon.wait_for("all files are stored")
            daemon.process.terminate()
            assert daemon.wait() == 0
        assert not [line for line in daemon.lines if " WARNING " in line or " ERROR " in line]

    stored = [one["Key"] for one in server.client().list_objects_v2(Bucket=BUCKET)["Contents"]]
    thief = S3Server(server.endpoint_url, WRITER, WRITERS_SECRET).client()
    for key in stored:
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            thief.delete_object(Bucket=BUCKET, Key=key)
    assert [one["Key"] for one in server.client().list_objects_v2(Bucket=BUCKET)["Contents"]] == stored
    assert {f"node1:{data}/file{number}" for number in range(2)} < set(stored)
