"""What a purge of several histories comes to."""

from dataclasses import dataclass

from tablesnap.purge.planning import Plan
from tablesnap.purge.purging import Outcome


@dataclass
class Total:
    """Sums over all histories."""

    stored: int = 0  # objects at and below PATH, indexes included
    stored_size: int = 0  # bytes
    forgotten: int = 0  # restore points
    planned_indexes: int = 0
    planned_objects: int = 0
    planned_size: int = 0
    indexes: int = 0  # deleted
    objects: int = 0
    size: int = 0
    left_alone: int = 0  # histories
    failures: int = 0

    def add_plan(self, plan: Plan) -> None:
        """Count what is to be done."""
        self.stored += plan.total
        self.stored_size += plan.total_size
        self.forgotten += len(plan.forgotten)
        self.planned_indexes += len(plan.pointers) + len(plan.indexes)
        self.planned_objects += len(plan.needless)
        self.planned_size += plan.size

    def add_outcome(self, outcome: Outcome) -> None:
        """Count what was done."""
        self.indexes += outcome.indexes
        self.objects += outcome.objects
        self.size += outcome.size
        self.failures += len(outcome.failures)

    @property
    def share(self) -> float:
        """What part of the objects or of their bytes is to be deleted, whichever is larger."""
        return max(
            (self.planned_indexes + self.planned_objects) / max(self.stored, 1),
            self.planned_size / max(self.stored_size, 1),
        )
