"""The least an upload can cost here: obstore, memory maps, a few threads, and nothing else.

Usage: bare_put.py DIRECTORY, with ENDPOINT, CA_BUNDLE and BUCKET in the environment beside AWS's own variables.
"""

import mmap
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from obstore.store import S3Store

THREADS = 4


def main() -> None:
    """Store every file of a directory under its name."""
    store = S3Store(
        os.environ["BUCKET"],
        config={
            "endpoint": os.environ["ENDPOINT"],
            "region": "us-east-1",
            "virtual_hosted_style_request": False,
            "checksum_algorithm": "CRC64NVME",
            "unsigned_payload": True,
        },
        client_options={"root_certificate": Path(os.environ["CA_BUNDLE"]).read_text(), "timeout": "10 minutes"},
    )

    def put(path: Path) -> None:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
            store.put(path.name, content, use_multipart=False)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(put, sorted(Path(sys.argv[1]).iterdir())))


if __name__ == "__main__":
    main()
