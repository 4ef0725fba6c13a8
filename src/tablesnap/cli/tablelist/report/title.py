"""What the report calls a table, and where on the page it belongs."""

from dataclasses import dataclass

from tablesnap.rules.place import SYSTEM_KEYSPACES


@dataclass(frozen=True)
class Title:
    """The name of a timeline, in parts."""

    keyspace: str  # empty outside Cassandra's directories
    name: str  # ``shop.users``, or the directory's path
    id: str = ""

    @property
    def is_system(self) -> bool:
        """Say whether the table is one of Cassandra's own."""
        return self.keyspace in SYSTEM_KEYSPACES


def title_of(summary_name: str) -> Title:
    """Return the title of what `Summary.name` names: ``shop/users-<id>``, or a directory's path."""
    if summary_name.startswith("/"):
        return Title("", summary_name)
    keyspace, _, directory = summary_name.rpartition("/")
    table, _, identity = directory.rpartition("-")
    return Title(keyspace, f"{keyspace}.{table}", identity)
