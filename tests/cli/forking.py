"""A process that has loaded all commands, and forks one for each that it is asked for: ``forking.py DESCRIPTOR``.

Loading takes ten times as long as most of them do. What is forked has arguments, an environment and a directory of its
own, and ends as the interpreter ends. It does not show what a command loads, nor that it hides its own secrets.
"""

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tablesnap.cli.console.ending import end

_LINE = 1 << 20  # bytes


@dataclass(frozen=True)
class Asked:
    """A command to run."""

    command: str
    arguments: Sequence[str]
    environment: dict[str, str]
    directory: str
    output: str  # path of the file for its standard output
    errors: str  # and of that for its standard error

    def spell(self) -> bytes:
        """Return a message that asks for it."""
        return json.dumps(asdict(self)).encode()


def serve(asked: socket.socket) -> Asked | None:
    """Fork a process for each that is asked for, and say its id; in that process, return what is asked.

    To an id, say how the process ended. Return None once nobody asks any more.
    """
    while message := asked.recv(_LINE):
        if message.isdigit():
            _, status = os.waitpid(int(message), 0)
            asked.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        child = os.fork()
        if child == 0:
            asked.close()
            return Asked(**json.loads(message))
        asked.send(str(child).encode())
    return None


def become(asked: Asked) -> None:
    """Take on what a process has of its own."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked.directory)
    os.environ.clear()
    os.environ.update(asked.environment)
    time.tzset()
    for number, path in enumerate((os.devnull, asked.output, asked.errors)):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND if number else os.O_RDONLY)
        os.dup2(descriptor, number)
        os.close(descriptor)


def load() -> None:
    """Load whatever of tablesnap there is."""
    import tablesnap

    for module in pkgutil.walk_packages(tablesnap.__path__, "tablesnap."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    _connect()
    assert len(os.listdir("/proc/self/task")) == 1, "what is forked would lack the other threads, and have their locks"
    gc.freeze()  # or each that ends would copy all of it, to see that none of it is garbage


def _connect() -> None:
    """Have botocore read its files about S3, as the first connection of a process does; no request is made."""
    from tablesnap.store.s3_connection import Connector, S3Options

    nobody = S3Options(access_key="any", secret_key="any", region="us-east-1", endpoint_url="http://127.0.0.1:1")
    Connector("any-bucket", nobody).connected()


def main() -> int:
    load()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever interrupts the tests closes the socket
    with socket.socket(fileno=int(sys.argv[1])) as own:
        asked = serve(own)
    if asked is None:
        return 0
    become(asked)
    command: Any = importlib.import_module(f"tablesnap.cli.{asked.command}.main")
    sys.argv = [asked.command, *asked.arguments]
    return end(int(command.main(asked.arguments)))


if __name__ == "__main__":
    sys.exit(main())
