"""Cassandra as Maven brings it: its jar and the hundred it needs, fetched once and then kept."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.s3_servers import skip_or_fail

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
_KEPT_IN = HERE.parents[1] / ".ci" / "local"
_NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}


def version() -> str:
    """Return the version of Cassandra that is tested against."""
    found = ET.parse(POM).findtext("m:dependencies/m:dependency/m:version", namespaces=_NAMESPACE)
    assert found, f"{POM} names no version"
    return found


def jars() -> Path:
    """Return the directory with Cassandra's jars, from CASSANDRA_JARS or by Maven; skip the test if there is no way."""
    if shutil.which("java") is None:
        skip_or_fail("java was not found; Cassandra needs a JDK 17")
    if named := os.environ.get("CASSANDRA_JARS"):
        if not any(Path(named).glob("cassandra-all-*.jar")):
            skip_or_fail(f"CASSANDRA_JARS names {named}, and there is no cassandra-all-*.jar")
        return Path(named)
    kept = _KEPT_IN / f"cassandra-{version()}"
    _KEPT_IN.mkdir(parents=True, exist_ok=True)
    with (_KEPT_IN / "cassandra.lock").open("w") as lock:
        # Several test workers come here at the same moment; one fetches, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            _fetch(kept)
    return kept


def _fetch(target: Path) -> None:
    if shutil.which("mvn") is None:
        skip_or_fail("mvn was not found; install Maven, or name a directory with Cassandra's jars in CASSANDRA_JARS")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        half = Path(scratch) / "jars"
        command = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", "--file", str(POM)]
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={half}"]
        fetched = subprocess.run([*command, *goal], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if fetched.returncode != 0:
            skip_or_fail(f"Maven could not fetch Cassandra: {(fetched.stdout + fetched.stderr)[-2000:]}")
        half.rename(target)
