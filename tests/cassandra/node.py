"""One Cassandra as a process: its configuration, its start and end, nodetool and a CQL session."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import WhiteListRoundRobinPolicy
from tests.cassandra.jars import HERE, jars
from tests.daemon.harness import wait_until
from tests.endpoint import free_port

LIMIT_SECONDS = 120.0  # within which a node is up, or never will be
_SILENT = "<configuration><root level='OFF'/></configuration>"
_CONSOLE = """<configuration>
  <appender name="CONSOLE" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level [%thread] %date{ISO8601} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="CONSOLE"/></root>
</configuration>"""


@dataclass(frozen=True)
class Format:
    """How a node names and writes its sstables."""

    version: str  # the first letters of their names
    settings: Mapping[str, object]


STOCK = Format("nb", {})
OA = Format("oa", {"storage_compatibility_mode": "NONE"})
DA = Format(
    "da",
    {
        "storage_compatibility_mode": "NONE",
        "uuid_sstable_identifiers_enabled": True,
        "sstable": {"selected_format": "bti"},
    },
)


@dataclass(frozen=True)
class Ports:
    """The ports of a node; the nodes of one cluster differ in their address, and in the port of JMX."""

    storage: int = field(default_factory=free_port)
    native: int = field(default_factory=free_port)


@dataclass(frozen=True)
class Configuration:
    """What a test wants of a node."""

    format: Format = STOCK
    disks: int = 1
    address: str = "127.0.0.1"
    ports: Ports = field(default_factory=Ports)
    seed: str = "127.0.0.1"
    settings: Mapping[str, object] = field(default_factory=dict)
    heap: str = "384m"

    def yaml(self, home: Path) -> str:
        """Return cassandra.yaml, of which JSON is one way to write it."""
        seeds = {
            "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
            "parameters": [{"seeds": f"{self.seed}:{self.ports.storage}"}],
        }
        stock = {
            "cluster_name": "under test",
            "num_tokens": 4,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "data_file_directories": [str(one) for one in self.data(home)],
            "commitlog_directory": str(home / "commitlog"),
            "hints_directory": str(home / "hints"),
            "saved_caches_directory": str(home / "saved_caches"),
            "cdc_raw_directory": str(home / "cdc_raw"),
            "commitlog_sync": "periodic",
            "commitlog_sync_period": "1000ms",
            "commitlog_segment_size": "8MiB",
            "commitlog_total_space": "512MiB",
            # Nothing is to be flushed but when a test says so.
            "memtable_heap_space": "192MiB",
            "memtable_offheap_space": "64MiB",
            "file_cache_size": "64MiB",
            "key_cache_size": "8MiB",
            "endpoint_snitch": "SimpleSnitch",
            "listen_address": self.address,
            "rpc_address": self.address,
            "storage_port": self.ports.storage,
            "native_transport_port": self.ports.native,
            "seed_provider": [seeds],
            "incremental_backups": False,
            "materialized_views_enabled": True,
            "compaction_throughput": "0MiB/s",
        }
        return json.dumps({**stock, **self.format.settings, **self.settings}, indent=1)

    def data(self, home: Path) -> list[Path]:
        """Return the data directories of a node that lives in *home*."""
        return [home / ("data" if number == 0 else f"data{number + 1}") for number in range(self.disks)]


class NodetoolFailed(AssertionError):
    """nodetool ended with another code than 0."""


class Node:
    """A Cassandra that lives in a directory, and comes and goes as a test says."""

    def __init__(self, home: Path, configuration: Configuration) -> None:
        self.home = home
        self.configuration = configuration
        self._jars = jars()
        self._jmx = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._nodetool: subprocess.Popen[bytes] | None = None
        self._cluster: Cluster | None = None
        self._session: Session | None = None

    @property
    def data(self) -> list[Path]:
        """Its data directories."""
        return self.configuration.data(self.home)

    @property
    def log(self) -> str:
        """What it has said in all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def _log(self) -> Path:
        return self.home / "cassandra.log"

    # Life and death

    def start(self) -> None:
        """Start it, and return once it says that it is up."""
        conf = self.home / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        (conf / "cassandra.yaml").write_text(self.configuration.yaml(self.home))
        (conf / "logback.xml").write_text(_CONSOLE)
        (conf / "silent.xml").write_text(_SILENT)
        heap = self.configuration.heap
        options = [
            *(f"-Xms{heap}", f"-Xmx{heap}", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-ea"),
            f"-javaagent:{next(self._jars.glob('jamm-*.jar'))}",
            f"-Dcassandra.jmx.local.port={self._jmx}",
            "-Dcassandra-foreground=yes",
            "-Dcassandra.ring_delay_ms=1000",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Djava.net.preferIPv4Stack=true",
        ]
        command = self._java("logback.xml", options, "org.apache.cassandra.service.CassandraDaemon")
        with self._log.open("ab") as said:
            begins = said.tell()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        self._process = process

        def is_up() -> bool:
            return b"Startup complete" in self._log.read_bytes()[begins:]

        try:
            wait_until(is_up, "Cassandra to start", limit=LIMIT_SECONDS, alive=lambda: process.poll() is None)
        except AssertionError as error:
            self.kill()
            error.add_note(f"Cassandra's log:\n{self.log[-5000:]}")
            raise

    def stop(self) -> None:
        """End it as a service manager does: without a drain, so its commit log is replayed at the next start."""
        self._leave()
        if self._process:
            self._process.terminate()
            self._process.wait(LIMIT_SECONDS)
        self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        self._leave()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it do nothing while the block lasts: what was under way is so for as long as a test looks at it."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Take away all it ever wrote, as from a machine that is set up anew; it must not run."""
        assert self._process is None, "a node that runs is not wiped"
        for directory in [*self.data, *(self.home / name for name in ("commitlog", "hints", "saved_caches"))]:
            shutil.rmtree(directory, ignore_errors=True)

    def _leave(self) -> None:
        if self._cluster:
            self._cluster.shutdown()
        self._cluster = self._session = None
        if self._nodetool:
            self._nodetool.kill()
            self._nodetool.communicate()
        self._nodetool = None

    # Talking to it

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Run one CQL statement, and return its rows as tuples with names."""
        return list(self.session.execute(statement, tuple(values) or None))

    @property
    def session(self) -> Session:
        """A CQL session, opened at its first use."""
        if self._session is None:
            address = self.configuration.address
            profile = ExecutionProfile(
                load_balancing_policy=WhiteListRoundRobinPolicy([address]), request_timeout=LIMIT_SECONDS
            )
            self._cluster = Cluster(
                [address],
                port=self.configuration.ports.native,
                protocol_version=5,
                execution_profiles={EXEC_PROFILE_DEFAULT: profile},
                schema_metadata_enabled=False,
                token_metadata_enabled=False,
                connect_timeout=LIMIT_SECONDS,
            )
            self._session = self._cluster.connect()
        return self._session

    def nodetool(self, *arguments: object) -> str:
        """Run one command of nodetool, and return what it said; raise `NodetoolFailed` where that is an error."""
        if self._nodetool is None or self._nodetool.poll() is not None:
            # A JDK compiles a single source file as it starts it.
            command = self._java("silent.xml", ["-Xmx128m", "-XX:TieredStopAtLevel=1"], str(HERE / "Nodetool.java"))
            with (self.home / "nodetool.log").open("ab") as said:
                self._nodetool = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        stdin, stdout = self._nodetool.stdin, self._nodetool.stdout
        assert stdin
        assert stdout
        line = ["-h", "127.0.0.1", "-p", str(self._jmx), *map(str, arguments)]
        stdin.write("\t".join(line).encode() + b"\n")
        stdin.flush()
        answer = stdout.readline().split()
        if len(answer) != 2:
            raise NodetoolFailed(f"nodetool itself died: {(self.home / 'nodetool.log').read_text()[-2000:]}")
        text = stdout.read(int(answer[1])).decode(errors="replace")
        if int(answer[0]) != 0:
            # It may be about to end.
            self._nodetool.kill()
            self._nodetool.communicate()
            raise NodetoolFailed(f"nodetool {arguments}: {text}\n{self.log[-3000:]}")
        return text

    def sstableutil(self, keyspace: str, table: str, kind: str = "final") -> set[Path]:
        """Return the files that sstableutil calls *kind*: those of finished sstables are ``final``."""
        command = [*self.tool("StandaloneSSTableUtil"), "-t", kind, keyspace, table]
        ran = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return {Path(line) for line in ran.stdout.splitlines() if line.startswith("/")}

    def tool(self, name: str) -> list[str]:
        """Return the words that run one of Cassandra's offline tools, by the name of its class."""
        return self._java("silent.xml", ["-Xmx256m", "-XX:TieredStopAtLevel=1"], f"org.apache.cassandra.tools.{name}")

    def table_directories(self, keyspace: str, table: str) -> list[Path]:
        """Return the directory of *table* on each disk, of the table that has this name now."""
        rows = self.execute(
            "SELECT id FROM system_schema.tables WHERE keyspace_name = %s AND table_name = %s", (keyspace, table)
        ) or self.execute(
            "SELECT id FROM system_schema.views WHERE keyspace_name = %s AND view_name = %s", (keyspace, table)
        )
        return [disk / keyspace / f"{table}-{rows[0].id.hex}" for disk in self.data]

    def _java(self, logback: str, options: Sequence[str], *program: str) -> list[str]:
        conf = self.home / "conf"
        common = [
            f"-Dcassandra.config=file://{conf / 'cassandra.yaml'}",
            f"-Dcassandra.storagedir={self.home}",
            f"-Dcassandra.logdir={self.home / 'logs'}",
            f"-Dlogback.configurationFile=file://{conf / logback}",
        ]
        path = f"{conf}:{self._jars}/*"
        return ["java", f"@{HERE / 'jvm17.options'}", *common, *options, "-cp", path, *program]


@contextmanager
def running_node(home: Path, configuration: Configuration | None = None) -> Iterator[Node]:
    """Run a node in *home* while the block lasts; it is killed at the end, as its data are no longer wanted."""
    node = Node(home, configuration or Configuration())
    node.start()
    try:
        yield node
    except BaseException as error:
        error.add_note(f"Cassandra's log:\n{node.log[-3000:]}")
        raise
    finally:
        node.kill()
