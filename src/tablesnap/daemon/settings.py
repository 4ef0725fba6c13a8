"""What the operator asked of the daemon."""

from dataclasses import dataclass, field

from tablesnap.rules.keys import Keys
from tablesnap.rules.selection import Selection


@dataclass(frozen=True)
class Settings:
    """The command line, understood. The store is opened apart from it."""

    paths: tuple[str, ...]  # absolute, normalised, links not resolved: keys carry the name the operator gave
    node: str
    avoid: tuple[str, ...] = ()  # where the store itself is: no link is followed to there
    prefix: str = ""  # glued in front of the node's name as it is
    separator: str = ":"
    recursive: bool = False
    auto_add: bool = False
    backup: bool = False  # -B: upload what was there before the start
    verify_on_start: bool = False  # --md5-on-start: compare content even where an index says it is stored
    with_index: bool = True
    delete_on_backup: bool = False
    threads: int = 4
    retries: int | None = None  # None: for ever
    events: frozenset[str] = frozenset({"IN_MOVED_TO"})  # of IN_MOVED_TO, IN_CLOSE_WRITE, IN_CREATE
    base_interval: float = 24 * 3600.0  # seconds; 0: a base after every replacement
    index_interval: float = 10.0  # seconds; 0: an index after every commit
    pin_limit: int | None = None  # bytes; None: a tenth of the file system
    selection: Selection = field(default_factory=Selection)

    @property
    def keys(self) -> Keys:
        """The keys of this node."""
        return Keys(prefix=self.prefix, node=self.node, separator=self.separator)
