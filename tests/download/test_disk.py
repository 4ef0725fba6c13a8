"""A disk that is full, read-only or limited costs the files that do not fit, and nothing else."""

import subprocess
from pathlib import Path

import pytest
from tests.download.bringing import run_python
from tests.s3_servers import skip_or_fail

IN_A_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")

ON_A_SMALL_DISK = """
import os, subprocess, sys
from pathlib import Path
from tests.download.bringing import MIB, Count, bring, leftovers, standing, stored, whys
from tablesnap.store.memory import MemoryStore

place = Path(sys.argv[1])

def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True)

store = MemoryStore()
progress = Count()
"""


def run_in_namespace(program: str, place: Path) -> None:
    """Run *program* where it may mount; what it asserts is the test."""
    trial = subprocess.run(
        [*IN_A_NAMESPACE, "mount", "-t", "tmpfs", "none", str(place)], capture_output=True, text=True
    )
    if trial.returncode != 0:
        skip_or_fail(f"no file system can be mounted in a namespace of our own: {trial.stderr.strip()}")

    done = run_python(ON_A_SMALL_DISK + program, str(place), before=IN_A_NAMESPACE)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("large", [False, True], ids=["many small files", "a large file"])
def test_a_full_disk_ends_the_run_and_a_second_one_completes_it(tmp_path: Path, large: bool) -> None:
    if large:
        program = 'files = {"large": bytes(range(256)) * (70 * MIB // 256), "small": b"small"}\n'
    else:
        program = "files = {str(number): bytes([number]) * (MIB // 2) for number in range(50)}\n"
    program += """
mount("size=8m")
groups = [[stored(store, name, data, place / "d" / name)] for name, data in files.items()]

failures = bring(store, *groups, progress=progress)

there = standing(place / "d")
assert there.items() <= files.items()
assert {str(place / "d" / name) for name in files if name not in there} == set(whys(failures)), whys(failures)
whys = set(whys(failures).values())
assert "No space left on device" in whys, whys
if len(groups) > 2:  # of two, the other may have been brought before
    assert any(why.startswith("not brought, because the run ended: ") and why.endswith("No space left on device")
               for why in whys), whys
assert leftovers(place) == []
assert (progress.files, progress.size) == (len(there), sum(map(len, there.values())))

mount("remount,size=200m")
assert bring(store, *groups) == []
assert standing(place / "d") == files
assert leftovers(place) == []
"""
    run_in_namespace(program, tmp_path)


def test_what_killed_runs_left_makes_room_before_anything_is_brought(tmp_path: Path) -> None:
    run_in_namespace(
        """
from tablesnap.download.temporary import temporary_name
mount("size=8m")
for name in ("one", "two"):
    (place / temporary_name(name)).write_bytes(bytes(3 * MIB))

assert bring(store, [stored(store, "three", bytes(6 * MIB), place / "three")]) == []

assert os.listdir(place) == ["three"]
""",
        tmp_path,
    )


def test_a_disk_that_cannot_be_written_to_ends_the_run(tmp_path: Path) -> None:
    run_in_namespace(
        """
mount("size=8m")
mount("remount,ro")
groups = [[stored(store, str(number), b"x", place / str(number))] for number in range(100)]

failures = bring(store, *groups)

assert len(failures) == 100
assert failures[0].why == "Read-only file system"
assert failures[-1].why == f"not brought, because the run ended: {place}: Read-only file system"
assert list(place.iterdir()) == []
""",
        tmp_path,
    )


def test_a_file_over_the_size_limit_fails_alone(tmp_path: Path) -> None:
    done = run_python(
        ON_A_SMALL_DISK
        + """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
groups = [[stored(store, name, bytes(size), place / name)] for name, size in (("large", MIB + 1), ("fits", MIB))]

[failure] = bring(store, *groups)

assert failure.why == "File too large", failure
assert list(standing(place)) == ["fits"]
assert leftovers(place) == []
""",
        str(tmp_path),
    )

    assert done.returncode == 0, done.stderr
