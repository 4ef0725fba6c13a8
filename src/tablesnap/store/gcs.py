"""Google Cloud Storage, by obstore. This was never run against Google; CONTRIBUTING.md names a server.

Its listing is obstore's, with the limits that `RemoteStore._list` names.
"""

from obstore import store
from obstore.exceptions import BaseError

from tablesnap.errors import StoreRefused
from tablesnap.store.remote import RETRIES, RemoteOptions, RemoteStore

ENDPOINT = "https://storage.googleapis.com"


class GCSStore(RemoteStore):
    """One bucket, with the credentials that GOOGLE_* in the environment names, or the machine's own."""

    def __init__(self, bucket: str, options: RemoteOptions | None = None) -> None:
        options = options or RemoteOptions()
        config: store.GCSConfig = {}
        if options.endpoint_url is not None:
            config["base_url"] = options.endpoint_url
        try:
            super().__init__(
                lambda client: store.GCSStore(bucket, config=config, client_options=client, retry_config=RETRIES),
                f"gs://{bucket}",
                options.endpoint_url or ENDPOINT,
                options,
            )
        except (BaseError, ValueError, OSError) as error:
            said = str(error).splitlines()[0]
            raise StoreRefused(f"gs://{bucket} cannot be used: {said}; check GOOGLE_* in the environment") from error
