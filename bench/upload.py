"""What it costs to upload sstables over TLS: CPU, time and memory, of the daemon and of others, in one run.

Run it by ``make bench``. It asserts nothing. Smaller or larger, by the environment: BENCH_LARGE_SSTABLES,
BENCH_LARGE_MIB, BENCH_SMALL_SSTABLES, BENCH_SMALL_KIB. Needs versitygw, and about twice the bytes of the larger set in
TMPDIR. An sstable is four files here, the fewest that Cassandra can open; a daemon backs up nothing less.

Every uploader is a process of its own, and begins with an empty server on loopback, whose CPU is not counted. All files
are in the page cache. The daemon's wall time ends when the index of all files is stored, its CPU time when it has
stopped. The daemon and the bare put send a CRC-64/NVME with each object, the others none of their own.
"""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trustme
from tests.endpoint import S3Server
from tests.s3_servers import versitygw_program, versitygw_server

BUCKET = "bench"
SAMPLE_SECONDS = 0.02
PATIENCE_SECONDS = 3600
MIB = 1 << 20
OTHERS = ("CRC.db", "Index.db", "Statistics.db")  # besides Data.db


@dataclass(frozen=True)
class FileSet:
    """Sstables of one size in one directory."""

    title: str
    directory: Path
    sstables: int
    size: int  # bytes of each Data.db
    rest: int = 16  # bytes of each of the other components

    @property
    def files(self) -> int:
        """How many files there are."""
        return self.sstables * (1 + len(OTHERS))

    @property
    def bytes(self) -> int:
        """How many bytes the files have together."""
        return self.sstables * (self.size + self.rest * len(OTHERS))


class UploaderFailed(Exception):
    """An uploader ended with a failure."""


@dataclass(frozen=True)
class Cost:
    """What one upload took."""

    cpu: float  # seconds, user and system
    wall: float  # seconds
    peak: int  # bytes resident, mapped files included
    anonymous: int  # bytes of it that are the process's own


def main() -> int:
    """Measure, print, return an exit code."""
    if versitygw_program() is None:
        print("bench: versitygw was not found; CONTRIBUTING.md says how to have it", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="tablesnap-bench-") as name:
        root = Path(name)
        certificates = make_certificates(root)
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
        )
        single = FileSet("what a start and a stop take", root / "single", 1, 1024)
        large = FileSet(
            "large files", root / "large", number("BENCH_LARGE_SSTABLES", 64), number("BENCH_LARGE_MIB", 64) * MIB
        )
        small_size = number("BENCH_SMALL_KIB", 16) << 10
        small = FileSet("small files", root / "small", number("BENCH_SMALL_SSTABLES", 500), small_size, small_size)
        for files in (single, large, small):
            write(files)
            print_heading(files)
            for title, measure in uploaders():
                with versitygw_server(certificates / "server.pem", certificates / "server.key") as plain:
                    server = replace(plain, ca_bundle=str(certificates / "ca.pem"))
                    server.make_bucket(BUCKET)
                    try:
                        print_row(title, files, measure(files, server))
                    except UploaderFailed as failure:
                        print(f"  {title:24}{failure}", flush=True)
            shutil.rmtree(files.directory)
    return 0


def number(variable: str, default: int) -> int:
    """Return a number from the environment."""
    return int(os.environ.get(variable, default))


def make_certificates(root: Path) -> Path:
    """Make an authority and a certificate for loopback, and return their directory."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(root / "ca.pem")
    certificate.private_key_pem.write_to_path(root / "server.key")
    for part in certificate.cert_chain_pems:
        part.write_to_path(root / "server.pem", append=True)
    return root


def write(files: FileSet) -> None:
    """Write the files, each with bytes of its own."""
    files.directory.mkdir()
    body = os.urandom(max(files.size, files.rest))
    for generation in range(1, files.sstables + 1):
        for part, kind in enumerate(("Data.db", *OTHERS)):
            mark = (generation * 10 + part).to_bytes(16, "big")
            size = files.rest if part else files.size
            (files.directory / f"nb-{generation}-big-{kind}").write_bytes(mark + body[16:size])


Measure = Callable[[FileSet, S3Server], Cost]


def uploaders() -> list[tuple[str, Measure]]:
    """Return those that are here to be measured."""
    found: list[tuple[str, Measure]] = [("tablesnap", measure_daemon), ("bare obstore put", measure_bare_put)]
    if runs("aws"):
        found.append(("aws s3 cp --recursive", measure_aws))
    if runs("s5cmd"):
        found.append(("s5cmd cp", measure_s5cmd))
    return found


def runs(program: str) -> bool:
    """Say whether a program is here. A shim of a version manager may stand for one that is not."""
    if shutil.which(program) is None:
        return False
    flag = "version" if program == "s5cmd" else "--version"
    return subprocess.run([program, flag], capture_output=True, check=False).returncode == 0


def environment(server: S3Server) -> dict[str, str]:
    """Return an environment in which AWS's variables are those of *server* alone."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    assert server.ca_bundle is not None
    return ours | {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": server.ca_bundle,
        "SSL_CERT_FILE": server.ca_bundle,
        "CA_BUNDLE": server.ca_bundle,
        "ENDPOINT": server.endpoint_url,
        "BUCKET": BUCKET,
        # versitygw 1.8.0 answers "BadRequest" to some parts with the checksum that aws would append.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }


def measure_daemon(files: FileSet, server: S3Server) -> Cost:
    """Start the daemon on the directory, and stop it once an index names all files as stored."""
    assert server.ca_bundle is not None
    command = [sys.executable, "-m", "tablesnap", "-B", "-n", "bench", "--ca-bundle", server.ca_bundle]
    command += ["--endpoint-url", server.endpoint_url, BUCKET, str(files.directory)]
    client = server.client()
    asked = time.monotonic()

    def is_done() -> bool:
        nonlocal asked
        if time.monotonic() - asked < 0.25:
            return False
        asked = time.monotonic()
        return is_recorded(client, files)

    return measure(command, environment(server), is_done)


def is_recorded(client: Any, files: FileSet) -> bool:
    """Say whether an index names all files as stored."""
    prefix = f"bench:{files.directory}/nb-"
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        for listed in page.get("Contents", []):
            if listed["Key"].endswith("-listdir.json"):
                index = json.loads(client.get_object(Bucket=BUCKET, Key=listed["Key"])["Body"].read())
                if len(index["tablesnap"]["files"]) == files.files:
                    return True
    return False


def measure_bare_put(files: FileSet, server: S3Server) -> Cost:
    """Store the files by the least that can be done."""
    script = Path(__file__).with_name("bare_put.py")
    return measure([sys.executable, str(script), str(files.directory)], environment(server))


def measure_aws(files: FileSet, server: S3Server) -> Cost:
    """Store the files by AWS's own command."""
    command = ["aws", "s3", "cp", "--recursive", "--only-show-errors", "--endpoint-url", server.endpoint_url]
    return measure([*command, str(files.directory), f"s3://{BUCKET}/"], environment(server))


def measure_s5cmd(files: FileSet, server: S3Server) -> Cost:
    """Store the files by s5cmd."""
    command = ["s5cmd", "--log", "error", "--endpoint-url", server.endpoint_url, "cp"]
    return measure([*command, f"{files.directory}/", f"s3://{BUCKET}/"], environment(server))


def measure(command: Sequence[str], env: Mapping[str, str], is_done: Callable[[], bool] | None = None) -> Cost:
    """Run a command to its end, or, with *is_done*, until that is true and it has been told to stop."""
    with tempfile.TemporaryDirectory(prefix="bench-log-") as directory:
        log = Path(directory) / "log"
        with log.open("wb") as output:
            began = time.monotonic()
            process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wall, peak, anonymous, stopping = 0.0, 0, 0, False
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            held = memory_of(process.pid)
            peak, anonymous = max(peak, held[0]), max(anonymous, held[1])
            if not stopping and is_done is not None and is_done():
                wall, stopping = time.monotonic() - began, True
                process.send_signal(signal.SIGTERM)
            if time.monotonic() - began > PATIENCE_SECONDS:
                process.kill()
            time.sleep(SAMPLE_SECONDS)  # how often memory is looked at
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise UploaderFailed(f"failed with {process.returncode}: {log.read_text()[-300:].strip()}")
    return Cost(usage.ru_utime + usage.ru_stime, wall or time.monotonic() - began, peak, anonymous)


def memory_of(pid: int) -> tuple[int, int]:
    """Return the most that was resident since exec (ru_maxrss has what was before, too), and what is anonymous."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    held = {
        name: int(value.split()[0]) << 10 for name, _, value in (line.partition(":") for line in lines) if "kB" in value
    }
    return held.get("VmHWM", 0), held.get("RssAnon", 0)


def print_heading(files: FileSet) -> None:
    """Print what the rows below are about."""
    size = f"{files.size // MIB} MiB" if files.size >= MIB else f"{files.size >> 10} KiB"
    others = f", and {len(OTHERS)} files of {files.rest} bytes with each" if files.rest < files.size else " files"
    print(f"\n{files.title}: {files.files if files.rest == files.size else files.sstables} of {size}{others}")
    print(f"  {'':24}{'CPU s':>8}{'CPU s/GiB':>11}{'CPU ms/file':>13}{'wall s':>8}{'peak MiB':>10}{'anonymous':>11}")


def print_row(title: str, files: FileSet, cost: Cost) -> None:
    """Print what one uploader took."""
    gibibytes = files.bytes / (1 << 30)
    by_size, by_file = f"{cost.cpu / gibibytes:.2f}" if gibibytes > 0.01 else "-", cost.cpu * 1000 / files.files
    memory = f"{cost.peak / MIB:>10.0f}{cost.anonymous / MIB:>11.0f}"
    print(f"  {title:24}{cost.cpu:>8.2f}{by_size:>11}{by_file:>13.2f}{cost.wall:>8.1f}{memory}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
