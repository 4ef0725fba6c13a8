"""Azure Blob Storage, by obstore.

obstore's listing fails as a whole at one foreign key that it cannot name (``a//b``), and shows ``d/`` as ``d``. With an
account key, a shared access signature or a token in the environment we list by a request of our own, exactly. With
other credentials (managed identity, workload identity, a service principal), which only obstore can use, its listing is
all there is; `RemoteStore.list` says what that means.
"""

import os
from collections.abc import Iterator

from obstore import store
from obstore.exceptions import BaseError

from tablesnap.errors import KeyRefused, StoreRefused
from tablesnap.store.azure_account import Account, find_account, level_of_blobs, list_blobs
from tablesnap.store.keys import require_utf8, shown
from tablesnap.store.port import Listed
from tablesnap.store.remote import RETRIES, RemoteOptions, RemoteStore


class AzureStore(RemoteStore):
    """One container of *account*, or of the one that AZURE_STORAGE_* in the environment names."""

    def __init__(self, container: str, options: RemoteOptions | None = None, account: Account | None = None) -> None:
        options = options or RemoteOptions()
        account = account or find_account(os.environ, options.endpoint_url)
        config: store.AzureConfig = {"account_name": account.name, "endpoint": account.endpoint}
        if account.key:
            config["account_key"] = account.key
        elif account.signature:
            config["sas_key"] = account.signature
        client = options.client(account.endpoint)
        try:
            reached = store.AzureStore(container, config=config, client_options=client, retry_config=RETRIES)
        except (BaseError, ValueError) as error:
            raise StoreRefused(f"az://{container} cannot be used: {str(error).splitlines()[0]}") from error
        super().__init__(reached, f"az://{container}", account.endpoint, options)
        self._account = account
        self._container = container

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield every blob whose name begins with *prefix*, under its exact name where we may sign."""
        require_utf8(prefix)
        if not self._account.can_sign:
            yield from super().list(prefix)
            return
        yield from list_blobs(self._account, self._container, prefix, reach=self._reach)

    def level(self, prefix: str) -> "Iterator[Listed | str]":
        """Yield one level, exactly as `list` does."""
        require_utf8(prefix)
        if not self._account.can_sign:
            yield from super().level(prefix)
            return
        yield from level_of_blobs(self._account, self._container, prefix, reach=self._reach)

    def _require_key(self, key: str) -> None:
        super()._require_key(key)
        # Azure takes a backslash for a slash, and advises against a dot at a segment's end because clients drop it.
        if "\\" in key or any(segment.endswith(".") for segment in key.split("/")):
            raise KeyRefused(
                f"az://{self._container} cannot name {shown(key)}: a backslash, or a dot at the end of a name; "
                "leave such files out (-e)"
            )
