"""Which directory of the node a PATH means, where it is a table's name or lacks the table's id."""

from collections.abc import Sequence

from tablesnap.catalog.finding import is_stored, tables_called
from tablesnap.cli.line.printable import printable
from tablesnap.errors import TablesnapError, UsageError
from tablesnap.rules.keys import Keys
from tablesnap.rules.table_name import table_name
from tablesnap.store.address import Address
from tablesnap.store.port import Store

_SHOWN = 5  # tables, before the rest is counted


def directory_meant(store: Store, keys: Keys, path: str) -> str | None:
    """Return the directory that *path* means, which is itself if anything is stored there; None if no table fits.

    Raises `UsageError` where several tables fit, and what the store raises.
    """
    tables = _tables_meant(store, keys, path)
    if len(tables) > 1:
        raise UsageError(
            f"{path} fits {len(tables)} tables of {keys.node}; give the directory of one: {_spell(tables)}"
        )
    if tables:
        return tables[0][0]  # each directory of a table stands for all of them
    return path if path.startswith("/") else None


def expect_written_out(store: Store, keys: Keys, path: str) -> None:
    """Refuse a *path* that means another directory: what deletes does not guess. Raises what the store raises."""
    tables = _tables_meant(store, keys, path)
    if tables:
        raise UsageError(f"PATH {path!r} is not written out; give the directory, which is {_spell(tables)}")
    if not path.startswith("/"):
        raise no_table_called(path, keys.node)


def no_table_called(path: str, node: str) -> TablesnapError:
    """Make the error for a table's name that nothing in the bucket fits."""
    return TablesnapError(
        f"there is no table {path} in the backup of {node}; see tablelist -n {node} for those there are"
    )


def nothing_found(address: Address, begin: str, path: str | None) -> TablesnapError:
    """Make the error for a bucket that has nothing in keys that *begin* so, of what was at or below *path*."""
    where = f"nothing was found in {address}, in keys that begin with {begin}"
    if path is not None:
        where += f" and go on with {path}" if path.startswith("/") else f", of a table that is called {path}"
    return TablesnapError(printable(f"{where}; see -n, --prefix, --keyname-separator and PATH"))


def _tables_meant(store: Store, keys: Keys, path: str) -> list[list[str]]:
    """Return the tables that *path* may mean, each by its directories; none if it means itself."""
    name = table_name(path)
    if name is None or (path.startswith("/") and is_stored(store, keys, path)):
        return []
    return tables_called(store, keys, name)


def _spell(tables: Sequence[Sequence[str]]) -> str:
    more = f", or one of {len(tables) - _SHOWN} more" if len(tables) > _SHOWN else ""
    return " or ".join(" and ".join(directories) for directories in tables[:_SHOWN]) + more
