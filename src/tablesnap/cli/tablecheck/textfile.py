"""What a check found, for Prometheus: a file for the textfile collector of its node exporter."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from tablesnap.cli.tablecheck.tally import TableFigures, Tally
from tablesnap.errors import TablesnapError

_Labels = Mapping[str, str]


class CannotWriteTextfile(TablesnapError):
    """The figures cannot be written where they were asked for."""


def write_textfile(path: str, tally: Tally, *, now: float) -> None:
    """Write the figures of a check that came to its end; who reads the file finds all of the old ones or of the new."""
    beside = f"{path}.{os.getpid()}.tmp"  # no name that the collector reads
    try:
        try:
            with open(beside, "x", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in _lines(tally, now))
            os.replace(beside, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside)
    except OSError as error:
        raise CannotWriteTextfile(f"{path} cannot be written ({error.strerror or error}); try another FILE") from error


def _lines(tally: Tally, now: float) -> Iterator[str]:
    tables: Sequence[tuple[_Labels, TableFigures]] = [
        ({"node": one.node, "table": one.name}, one) for one in tally.tables
    ]
    yield from _metric(
        "tablesnap_last_verified_restore_point_timestamp_seconds",
        "Until when the newest restore point was true of which all was found right; 0 if there is none.",
        ((labels, one.verified) for labels, one in tables),
    )
    yield from _metric(
        "tablesnap_check_restore_points",
        "Restore points that were checked.",
        ((labels, one.points) for labels, one in tables),
    )
    yield from _metric(
        "tablesnap_check_table_faults",
        "Faults that were found of a table, what could not be checked among them.",
        ((labels, one.faults) for labels, one in tables),
    )
    kinds = (({"kind": kind.value}, count) for kind, count in tally.faults.items())
    yield from _metric("tablesnap_check_faults", "Faults that were found, by their kind.", kinds)
    proofs = (({"proof": proof.value}, count) for proof, count in tally.right.items())
    yield from _metric("tablesnap_check_objects", "Objects that were found right, by what.", proofs)
    if tally.unprotected is not None:
        yield from _metric(
            "tablesnap_check_unprotected_seconds",
            "For how long the file has been unprotected that has been so for longest; 0 if there is none.",
            [({}, tally.unprotected)],
        )
    for name, what, value in (
        ("frozen_objects", "Objects that are archived, and cannot be read now.", tally.frozen),
        ("read_bytes", "Bytes that were downloaded and compared.", tally.read),
        ("duration_seconds", "How long the check took.", now - tally.began),
        ("timestamp_seconds", "When the check ended.", now),
        ("success", "1 if nothing was found wrong, else 0.", int(not tally.faulty)),
    ):
        yield from _metric(f"tablesnap_check_{name}", what, [({}, value)])


def _metric(name: str, what: str, values: Iterable[tuple[_Labels, float]]) -> Iterator[str]:
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} gauge"
    for labels, value in values:
        spelt = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
        yield f"{name}{{{spelt}}} {_number(value)}" if spelt else f"{name} {_number(value)}"


def _escape(text: str) -> str:
    """Spell a label's value as the text format has it; what is no UTF-8 in a path is spelt as keys have it."""
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return plain.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(value)
