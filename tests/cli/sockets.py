"""A socket of datagrams for what the program writes to: a system log, a journal, a supervisor."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """Listen at *address*; reading what never comes fails the test."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(60)
        yield listener
