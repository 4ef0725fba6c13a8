"""What a whole check came to, in figures."""

from collections import Counter
from dataclasses import dataclass, field

from tablesnap.cli.tablecheck.against import Unprotected
from tablesnap.units import spell_count, spell_size
from tablesnap.verify.finding import Kind, Proof
from tablesnap.verify.history import Checked


@dataclass(frozen=True)
class TableFigures:
    """Those of one table, or of one directory outside Cassandra."""

    node: str
    name: str
    points: int
    faults: int
    verified: float  # until when the newest restore point was true that is right, in seconds of the epoch; 0: none is


@dataclass
class Tally:
    """Adds up what is found, from *began* on."""

    began: float  # seconds of the epoch
    tables: list[TableFigures] = field(default_factory=list)
    faults: Counter[Kind] = field(default_factory=lambda: Counter(dict.fromkeys(Kind, 0)))
    right: Counter[Proof] = field(default_factory=lambda: Counter(dict.fromkeys(Proof, 0)))
    read: int = 0  # bytes
    frozen: int = 0  # objects that cannot be read now
    unprotected: float | None = None  # seconds that a file has been so, at most; None: nobody asked

    def add(self, checked: Checked) -> None:
        """Count one history."""
        verified = checked.verified.timestamp() if checked.verified is not None else 0.0
        self.tables.append(TableFigures(checked.node, checked.name, checked.points, len(checked.findings), verified))
        self.faults.update(finding.kind for finding in checked.findings)
        self.right.update(checked.right)
        self.read += checked.read
        self.frozen += checked.frozen

    def add_unprotected(self, one: Unprotected) -> None:
        """Count one file on the disk."""
        self.faults[one.finding.kind] += 1
        self.unprotected = max(self.unprotected or 0.0, one.seconds)

    @property
    def faulty(self) -> bool:
        """Say whether anything is wrong."""
        return self.faults.total() > 0

    def spell(self) -> str:
        """Spell it in one line."""
        proofs = ", ".join(f"{count} by {proof.value}" for proof, count in self.right.items() if count)
        parts = [
            spell_count(len(self.tables), "table"),
            spell_count(sum(one.points for one in self.tables), "restore point"),
            f"{spell_count(self.right.total(), 'object')} right" + (f" ({proofs})" if proofs else ""),
        ]
        if self.read:
            parts.append(f"{spell_size(self.read)} read")
        if self.frozen:
            parts.append(f"{spell_count(self.frozen, 'object')} archived, and not readable now")
        faults = self.faults.total()
        return f"{', '.join(parts)}; {spell_count(faults, 'fault') if faults else 'no fault'}"
