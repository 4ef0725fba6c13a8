"""Whose credentials are used, where the operator gave some, and what is said where there are none."""

from collections.abc import Mapping

from tablesnap.errors import StoreRefused, StoreUnavailable
from tablesnap.store.s3_errors import one_line


def no_credentials(bucket: str, why: object) -> StoreUnavailable:
    """Make the error for credentials that are not yet to be had."""
    return StoreUnavailable(
        f"no credentials for s3://{bucket} yet: {one_line(why)}; give -k and -s, or set up a source that AWS tools know"
    )


def explicit_credentials(
    access: str | None, secret: str | None, token: str | None, environment: Mapping[str, str]
) -> tuple[str, str, str | None] | None:
    """Return the access key, secret key and token that the operator gave, or None if botocore's chain is to find them.

    What was not given is taken from the environment, as 1.x did: ``-k`` beside AWS_SECRET_ACCESS_KEY. The token is
    not, where both keys were given: it would belong to others.
    """
    if not (access or secret or token):
        return None
    both_given = bool(access and secret)
    access = access or environment.get("AWS_ACCESS_KEY_ID")
    secret = secret or environment.get("AWS_SECRET_ACCESS_KEY")
    if not access and not secret:
        return None
    if not access or not secret:
        raise StoreRefused("one half of the credentials is missing; give both -k and -s, or neither")
    if not both_given:
        token = token or environment.get("AWS_SECURITY_TOKEN") or environment.get("AWS_SESSION_TOKEN")
    return access, secret, token or None
