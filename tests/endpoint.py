"""A server on loopback, as those who ask it know it."""

import socket
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config


@dataclass(frozen=True)
class S3Server:
    """A server that answers on loopback until its fixture ends."""

    endpoint_url: str
    access_key: str
    secret_key: str
    ca_bundle: str | None = None

    def client(self) -> Any:
        """Return a plain boto3 client: the other pair of eyes on what an adapter did."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            verify=self.ca_bundle,
            config=Config(s3={"addressing_style": "path"}),
        )

    def make_bucket(self, name: str) -> None:
        """Create a bucket; *name* has three letters or more."""
        self.client().create_bucket(Bucket=name)


def free_port() -> int:
    """Return a port of loopback that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
