"""How long the daemon waits."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The waits of the daemon, in seconds. They are what a disk and Cassandra need; no operator has to choose them."""

    tick: float = 0.1  # how often the daemon looks at what has become due
    announce_every: float = 0.5  # how often it says what was stored
    announce_wait: float = 0.5  # how long that line waits for the sstable's other components
    status_every: float = 10.0  # how often it tells the supervisor how it fares
    first_answer: float = 10.0  # how long the store's first answer may take before that is an outage
    report_every: float = 60.0  # how often it logs what waits, and what keeps it from the store
    error_after: float = 300.0  # how long that lasts before it is an error
    summary_every: float = 3600.0  # how often it logs what was done since
    pins_every: float = 1.0  # how often it looks at what deleted files hold
    quiet: float = 0.5  # how long nothing must happen in a directory before its index is written
    snapshot: float = 10.0  # in which nothing comes to a snapshot that does not say when it is complete
    stand_still: float = 2.0  # how long size and mtime of a file found by looking must not move
    rewritten_still: float = 1.0  # how long a rewritten component must stand still
    suspect: float = 1.0  # how long nothing must move before what no transaction explains is acted on
    after_look: float = 1.0  # how long after a look transactions are told that the look has taken in
    absent_every: float = 10.0  # how often it looks whether sstables that went without a cause are back
    moved: float = 3.0  # how long a directory may be gone that was moved to another disk, until a link takes its place
    record_again: float = 0.5  # between two tries to record a table
    base_again: float = 0.5  # between two tries to begin a base
    index_flushes: float = 2.0  # how long nothing must be heard of flushes of secondary indexes before they are over
    index_patience: float = 60.0  # how long a flush of the table waits for them at most
    schema_quiet: float = 1.0  # how long the schema must not change before its tables are recorded together
    schema_busy: float = 10.0  # after how long they are recorded at the end of a change, if changes do not pause
    schema_patience: float = 60.0  # how long one waits for the others before it is recorded by itself
    told_late: float = 2.0  # how long after its removal an sstable's addition may still be told
    writers_first: float = 300.0  # how long after the start it looks whether another run records the same directories
    writers_every: float = 3600.0  # how often it looks again
    writers_suspected: float = 60.0  # and how long at least between two looks because a key was taken
