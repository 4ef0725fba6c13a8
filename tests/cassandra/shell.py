"""A shell on the host of a node: what the guide and the hints say is typed into it as it stands."""

import json
import os
import re
import shlex
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cassandra.node import Node
from tests.daemon.harness import Bucket, clean_environment

_TABLESLURP = "import sys; from tablesnap.cli.tableslurp.main import main; sys.exit(main())"
_ASK = """
import json, socket, sys
with socket.create_connection(("127.0.0.1", {port})) as server, server.makefile("rw") as talk:
    talk.write(json.dumps(sys.argv[1:]) + "\\n")
    talk.flush()
    code, said = json.loads(talk.readline())
(sys.stderr if code else sys.stdout).write(said)
sys.exit(code)
"""
_COPY = re.compile(r"COPY (?P<table>\S+)(?: \((?P<columns>[^)]*)\))? (?P<way>TO|FROM) '(?P<file>[^']*)'")


class Failed(AssertionError):
    """What was typed ended with another code than 0."""


class Shell:
    """Has on its PATH what an operator has. Made by `shell_on`."""

    def __init__(self, programs: Path, environment: Mapping[str, str]) -> None:
        self._environment = {**clean_environment(), **environment, "PATH": f"{programs}:{os.environ['PATH']}"}

    def type(self, text: str, **variables: object) -> str:
        """Type *text*, with these variables set, and return what was printed; raise `Failed` at the first failure."""
        environment = {**self._environment, **{name: str(value) for name, value in variables.items()}}
        command = ["bash", "-eu", "-o", "pipefail", "-c", text]
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
        if ran.returncode:
            raise Failed(f"{text}\nended with {ran.returncode}: {ran.stdout}\n{ran.stderr}")
        return ran.stdout


@contextmanager
def shell_on(node: Node, bucket: Bucket, directory: Path) -> Iterator[Shell]:
    """Have a shell on the host of *node*, with its programs in *directory*.

    A nodetool and a cqlsh of their own would take seconds each: the ones here ask this process.
    """

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            program, *words = json.loads(self.rfile.readline())
            try:
                answer = 0, node.nodetool(*words) if program == "nodetool" else _cqlsh(node, words)
            except Exception as error:  # noqa: BLE001  whatever it is, the shell is to say it
                answer = 1, f"{program}: {error}\n"
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    directory.mkdir()
    with socketserver.TCPServer(("127.0.0.1", 0), Answer) as server:
        ask = _ASK.format(port=server.server_address[1])
        programs = {
            "tableslurp": [sys.executable, "-c", _TABLESLURP, *bucket.arguments],
            "nodetool": [sys.executable, "-c", ask, "nodetool"],
            "cqlsh": [sys.executable, "-c", ask, "cqlsh"],
            "sstablemetadata": node.tool("SSTableMetadataViewer"),
            "sstabledump": node.tool("SSTableExport"),
            "sstableloader": [*node.tool("BulkLoader"), *_of_loader(node)],
        }
        for name, words in programs.items():
            (directory / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            (directory / name).chmod(0o755)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Shell(directory, bucket.environment)
        finally:
            server.shutdown()
            thread.join()


def _of_loader(node: Node) -> list[str]:
    """Return what sstableloader finds in cassandra.yaml where that is in its place."""
    ports = node.configuration.ports
    return ["-f", str(node.home / "conf" / "cassandra.yaml"), "-p", str(ports.native), "-sp", str(ports.storage)]


def _cqlsh(node: Node, words: list[str]) -> str:
    """Do what cqlsh does. The files of COPY have a row on a line, as cqlsh's have, but in JSON."""
    flag, text = words
    assert flag in ("-e", "-f"), words
    statement = (Path(text).read_text() if flag == "-f" else text).strip().rstrip(";")
    if match := _COPY.fullmatch(statement):
        return _copy(node, match["table"], match["columns"] or "*", Path(match["file"]), out=match["way"] == "TO")
    rows = node.execute(statement)
    return "".join(f"\n{row.create_statement}\n" for row in rows if hasattr(row, "create_statement"))


def _copy(node: Node, table: str, columns: str, file: Path, *, out: bool) -> str:
    if out:
        rows = [f"{row[0]}\n" for row in node.execute(f"SELECT JSON {columns} FROM {table}")]
        file.write_text("".join(rows))
        return f"{len(rows)} rows exported\n"
    lines = file.read_text().splitlines()
    for line in lines:
        node.execute(f"INSERT INTO {table} JSON %s DEFAULT UNSET", (line,))
    return f"{len(lines)} rows imported\n"
