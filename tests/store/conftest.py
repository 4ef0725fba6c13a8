"""The servers that store tests run against."""

from tests.s3_servers import moto_endpoint, versitygw_endpoint

__all__ = ["moto_endpoint", "versitygw_endpoint"]
