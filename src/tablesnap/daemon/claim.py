"""One daemon of a machine for each PATH: a second one that would write the same restore points does not start.

A socket with an abstract name is the lock. The kernel frees the name when the process ends, whatever ends it, and
nothing is written: systemd's unit and a container have no place for that. It says who has it as well.
"""

import errno
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b

from tablesnap.daemon.settings import Settings
from tablesnap.errors import TablesnapError

log = logging.getLogger(__name__)

_CREDENTIALS = struct.Struct("3i")  # ucred: process, user, group
_TRIES = 5  # the other may have the name, and not listen yet
_PAUSE_SECONDS = 0.1


class AlreadyBackedUp(TablesnapError):
    """Another process of this machine backs up the same PATH under the same name."""


@dataclass(frozen=True)
class Holder:
    """The process that has a PATH. Its number is 0 where it is in another container."""

    process: int
    user: int


@contextmanager
def claimed(settings: Settings, store: Iterable[str]) -> Iterator[None]:
    """Have each PATH while the block lasts; *store* are words that tell the store from others.

    Raises `AlreadyBackedUp`. Where it cannot be seen whether another has a PATH, that is said, and nothing is refused.
    """
    with ExitStack() as claims:
        for path in dict.fromkeys(settings.paths):
            _claim(path, name_of(settings, store, path), claims)
        yield


def _claim(path: str, name: bytes, claims: ExitStack) -> None:
    mine = claims.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        mine.bind(name)
        mine.listen()
    except OSError as error:
        _give_up(path, _ask(name) if error.errno == errno.EADDRINUSE else None, error)
        return
    claims.callback(mine.shutdown, socket.SHUT_RDWR)  # or the name is taken for as long as the thread waits
    threading.Thread(target=_answer, args=(mine,), name="claim", daemon=True).start()


def name_of(settings: Settings, store: Iterable[str], path: str) -> bytes:
    """Return the name of a claim. Daemons with other patterns may be beside each other, one for snapshots say."""
    key = settings.keys.below(path)
    patterns = [[one.pattern for one in some] for some in (settings.selection.include, settings.selection.exclude)]
    told = repr((*store, key, patterns)).encode("utf-8", "surrogatepass")
    return b"\0tablesnap-" + blake2b(told, digest_size=16).hexdigest().encode("ascii")


def _ask(name: bytes) -> Holder | None:
    """Return the process that has *name*; None where it does not say."""
    for _ in range(_TRIES):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking, suppress(OSError):
            asking.settimeout(_PAUSE_SECONDS)
            asking.connect(name)
            told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            process, user, _ = _CREDENTIALS.unpack(told)
            return Holder(process, user)
        time.sleep(_PAUSE_SECONDS)  # the holder may be ending just now, or not listen yet; nothing tells when it does
    return None


def _answer(mine: socket.socket) -> None:
    """Take each call of one who asks, so that the next one can ask as well."""
    with suppress(OSError):
        while True:
            mine.accept()[0].close()


def _give_up(path: str, holder: Holder | None, error: OSError) -> None:
    if holder is None:
        log.warning(
            "could not see whether another tablesnap of this machine backs up %s as well: %s; going on",
            path,
            error.strerror,
        )
    elif holder.user in (0, os.geteuid()):
        who = f"process {holder.process}" if holder.process else "a process in another container"
        raise AlreadyBackedUp(
            f"{who} backs up {path} under the same name in the same store, and their restore points would be mixed up; "
            "stop that one, or give this one another --name or --prefix"
        )
    else:
        # Anybody may take a name. A stranger must not be able to keep a backup from starting.
        log.error(
            "process %d of user %d says that it backs up %s under the same name in the same store; if it is another "
            "tablesnap, stop one of them. Going on",
            holder.process,
            holder.user,
            path,
        )
