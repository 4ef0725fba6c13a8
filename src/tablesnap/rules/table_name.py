"""A table as people call it: ``shop.users``, or its directory without the id that Cassandra adds to it."""

import posixpath
import re
from dataclasses import dataclass

from tablesnap.rules.place import tidy

_WORD = re.compile(r"(?P<keyspace>\w+)[./](?P<table>\w+)(-(?P<id>[0-9a-f]{0,32}))?", re.ASCII)
_DIRECTORY = re.compile(r"(?P<table>\w+)-(?P<id>[0-9a-f]{32})", re.ASCII)


@dataclass(frozen=True)
class TableName:
    """What is said of a table. It may fit several: one that is dropped and made again has another id."""

    keyspace: str
    table: str
    id: str = ""  # the first digits of it
    data_directory: str | None = None  # None: any

    def fits(self, directory: str) -> bool:
        """Say whether *directory*, a tidy path, is one of a table that is called so."""
        above, name = posixpath.split(directory)
        match = _DIRECTORY.fullmatch(name)
        return (
            match is not None
            and match["table"] == self.table
            and match["id"].startswith(self.id)
            and posixpath.basename(above) == self.keyspace
            and self.data_directory in (None, posixpath.dirname(above))
        )


def table_name(text: str) -> TableName | None:
    """Understand ``KEYSPACE.TABLE``, or the path of a table's directory with its id cut short; None: it is neither."""
    data_directory = None
    if text.startswith("/"):
        above, table = posixpath.split(tidy(text))
        data_directory, keyspace = posixpath.split(above)
        text = f"{keyspace}/{table}"
    match = _WORD.fullmatch(text)
    if match is None:
        return None
    return TableName(match["keyspace"], match["table"], match["id"] or "", data_directory)
