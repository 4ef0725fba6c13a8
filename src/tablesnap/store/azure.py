"""Azure Blob Storage, by obstore.

obstore's listing fails as a whole at one foreign key that it cannot name (``a//b``), and shows ``d/`` as ``d``. With an
account key, a shared access signature or a token in the environment we list by a request of our own, exactly. With
other credentials (managed identity, workload identity, a service principal), which only obstore can use, its listing is
all there is; `RemoteStore._list` says what that means.
"""

import os
from collections.abc import Iterator
from dataclasses import replace

from obstore import store
from obstore.exceptions import BaseError

from tablesnap.errors import KeyRefused, StoreRefused
from tablesnap.store.azure_account import Account, find_account, frozen_tier, level_of_blobs, list_blobs
from tablesnap.store.keys import require_utf8, shown
from tablesnap.store.port import Head, Listed
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
        try:
            super().__init__(
                lambda client: store.AzureStore(container, config=config, client_options=client, retry_config=RETRIES),
                f"az://{container}",
                account.endpoint,
                options,
            )
        except (BaseError, ValueError) as error:
            raise StoreRefused(f"az://{container} cannot be used: {str(error).splitlines()[0]}") from error
        self._account = account
        self._container = container
        self._archived: set[str] = set()  # keys, as far as they were listed

    def _list(self, prefix: str) -> Iterator[Listed]:
        """Yield every blob whose name begins with *prefix*, under its exact name where we may sign."""
        require_utf8(prefix)
        if not self._account.can_sign:
            yield from super()._list(prefix)
            return
        for listed in list_blobs(self._account, self._container, prefix, reach=self._reach):
            self._note(listed)
            yield listed

    def _level(self, prefix: str) -> "Iterator[Listed | str]":
        """Yield one level, exactly as `_list` does."""
        require_utf8(prefix)
        if not self._account.can_sign:
            yield from super()._level(prefix)
            return
        for one in level_of_blobs(self._account, self._container, prefix, reach=self._reach):
            if isinstance(one, Listed):
                self._note(one)
            yield one

    def head(self, key: str) -> Head:
        """Describe the blob. Of one that was listed as archived the tier is asked for: obstore does not tell it."""
        head = super().head(key)
        if key not in self._archived:
            return head
        frozen, is_thawing = frozen_tier(self._account, self._container, key, self._reach)
        return replace(head, frozen=frozen, is_thawing=bool(frozen) and is_thawing)

    def _note(self, listed: Listed) -> None:
        if listed.archived:
            self._archived.add(listed.key)

    def _require_key(self, key: str) -> None:
        super()._require_key(key)
        # Azure takes a backslash for a slash, and advises against a dot at a segment's end because clients drop it.
        if "\\" in key or any(segment.endswith(".") for segment in key.split("/")):
            raise KeyRefused(
                f"az://{self._container} cannot name {shown(key)}: a backslash, or a dot at the end of a name; "
                "leave such files out (-e)"
            )
