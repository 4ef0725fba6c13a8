"""Ask the store: first whether it will do what it is needed for, then what it holds."""

from collections.abc import Callable

from tablesnap.catalog.catalog import Catalog, Survey
from tablesnap.daemon.messages import Checked, Clocked, Surveyed, Surveying
from tablesnap.errors import KeyRefused, NoSuchObject, StoreRefused, TablesnapError
from tablesnap.rules.keys import Keys
from tablesnap.store.port import Store
from tablesnap.upload.pool import Pool, Trouble


class Questions:
    """Asks in a thread of its own, and *tell*s the answers. Used by the daemon's one thread alone."""

    def __init__(
        self, store: Store, catalog: Catalog, keys: Keys, tell: Callable[[Checked | Clocked | Surveyed], None]
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._keys = keys
        self._tell = tell
        self._checked = False
        self._waiting: list[Surveying] = []
        self._pool: Pool[Surveying, Checked | Clocked | Surveyed] = Pool(
            self._ask,
            lambda _, answer: self._answered(answer),
            threads=1,
            retries=None,
            name="ask",
            name_of=lambda _: "the question what the store holds",
        )

    @property
    def troubles(self) -> list[Trouble]:
        """What keeps the questions from being answered."""
        return self._pool.troubles

    def start(self) -> None:
        """Ask whether the store will do; `Checked` is told."""
        self._pool.start()
        self._pool.add(Surveying(), urgency=0)

    def survey(self, asked: Surveying) -> None:
        """Ask what the store holds, once it is known to be the right one; `Surveyed` is told."""
        self._waiting.append(asked)
        if self._checked:
            self.go_on()

    def ask_clock(self, key: str) -> None:
        """Ask for the store's clock, about the object under *key*; `Clocked` is told."""
        self.survey(Surveying(clock_of=key))

    def go_on(self) -> None:
        """Take in that the store will do."""
        self._checked = True
        while self._waiting:
            self._pool.add(self._waiting.pop(0), urgency=0)

    def stop(self) -> None:
        """Ask no more."""
        self._pool.stop()

    def _ask(self, asked: Surveying) -> Checked | Clocked | Surveyed:
        if asked.clock_of:
            try:
                return Clocked(self._store.head(asked.clock_of).store_clock)
            except (NoSuchObject, StoreRefused, KeyRefused):
                return Clocked(None)
        if asked.directories:
            return Surveyed(asked, self._catalog.survey(asked.roots, asked.directories, asked.keys))
        if asked.at_start:
            return Surveyed(asked, Survey())
        try:
            self._store.check(self._keys.below("/"))
        except (StoreRefused, KeyRefused) as refusal:
            return Checked(refusal)
        return Checked(None)

    def _answered(self, answer: Checked | Clocked | Surveyed | TablesnapError) -> None:
        assert not isinstance(answer, TablesnapError), "this pool never gives up"
        self._tell(answer)
