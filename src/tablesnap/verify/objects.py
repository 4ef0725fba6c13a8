"""Check single objects: by what the store says of them, or by their bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tablesnap.checksum import crc64nvme, to_hex
from tablesnap.download.line import Line
from tablesnap.errors import KeyRefused, NoSuchObject, ObjectArchived, StoreRefused, StoreUnavailable
from tablesnap.rules.kept import KeptFile
from tablesnap.store.port import Head
from tablesnap.verify.digest import LONGEST, Digest, HashSum, NumberSum, Sum, understand
from tablesnap.verify.finding import Kind, Proof
from tablesnap.verify.share import Share

_TRIES = 2  # where other bytes arrive than were stored, for they may have changed on their way


@dataclass(frozen=True)
class Verdict:
    """What was found of one object: by what it is right, or what is wrong with it, or both."""

    size: int = 0  # bytes
    proof: Proof | None = None
    kind: Kind | None = None
    what: str = ""
    has_digest: bool = False  # it was compared with Cassandra's digest
    frozen: bool = False  # it is archived, and cannot be read now


class ObjectChecker:
    """Checks objects over one *line* to the store. Safe to use from several threads."""

    def __init__(self, line: Line, share: Share, *, may_be_frozen: bool = False) -> None:
        self._line = line
        self._share = share
        self._may_be_frozen = may_be_frozen  # what cannot be read now is meant to be so

    def check(self, file: KeptFile, size: int | None, digest: KeptFile | None, *, is_archived: bool = False) -> Verdict:
        """Check the object of *file*, which has this *size* in the store (None: it is not there).

        With *digest*, Cassandra's own, a Data.db that is downloaded is compared with it. *is_archived* is what the
        listing says. Raises `Halted` where the run has ended.
        """
        if size is None:
            return Verdict(kind=Kind.LOST, what="is not in the store")
        if file.size is not None and size != file.size:
            return _other_size(size, file.size)
        try:
            head = self._head(file.key) if is_archived else None
            if head is not None and head.frozen:
                return self._frozen(self._by_word(file, size, head), head)
            if self._share.takes(file):
                return self._by_content(file, size, digest)
            return self._by_word(file, size, head)
        except NoSuchObject:
            return Verdict(kind=Kind.LOST, what="went from the store while it was checked")
        except ObjectArchived as error:
            return Verdict(size, kind=Kind.ARCHIVED, what=str(error), frozen=True)
        except (StoreRefused, StoreUnavailable, KeyRefused) as error:
            return Verdict(kind=Kind.UNCHECKED, what=str(error))

    def _frozen(self, verdict: Verdict, head: Head) -> Verdict:
        """Say of an object that nobody can read now what the store's word is worth."""
        if verdict.kind is not None or self._may_be_frozen:
            return replace(verdict, frozen=True)
        thawing = ", and is being thawed" if head.is_thawing else ""
        what = f"is archived ({head.frozen}), and cannot be read now{thawing}; tableslurp says how to have it thawed"
        return replace(verdict, kind=Kind.ARCHIVED, what=what, frozen=True)

    def _by_word(self, file: KeptFile, size: int, head: Head | None) -> Verdict:
        """Take the store's word, which it has given already where there is a *head*."""
        if file.checksum is None:
            return Verdict(size, Proof.PRESENCE)  # 1.x wrote no size down: the one we have is the store's own word
        head = head or self._head(file.key)
        if head.size != size:
            return _other_size(head.size, size)
        if head.checksum is None:
            return Verdict(size, Proof.SIZE)
        if head.checksum != file.checksum:
            what = f"the store's own checksum of it is {to_hex(head.checksum)}, and the file's was"
            return Verdict(size, kind=Kind.CHECKSUM, what=f"{what} {to_hex(file.checksum)}")
        return Verdict(size, Proof.CHECKSUM)

    def _by_content(self, file: KeptFile, size: int, digest: KeptFile | None) -> Verdict:
        head = self._head(file.key) if file.checksum is None else None
        content = _Content(self._line, file, head)
        cassandras, doubt = self._understand(digest)
        verdict = Verdict()
        for _ in range(_TRIES):
            verdict = content.compare(size, cassandras)
            if verdict.kind is None:
                break
        if verdict.kind is None and doubt:
            return Verdict(size, verdict.proof, Kind.UNCHECKED, f"its digest says nothing: {doubt}")
        return verdict

    def _understand(self, file: KeptFile | None) -> tuple[Digest | None, str]:
        """Return what Cassandra's digest says, or why nobody knows. That it is lost is said where it is checked."""
        if file is None:
            return None, ""
        try:
            body = self._line.insist(file.key, lambda: b"".join(self._line.store.read(file.key, length=LONGEST)))
            self._line.arrived(0)
            return understand(file.name, body), ""
        except NoSuchObject:
            return None, ""
        except (ValueError, StoreRefused, StoreUnavailable, KeyRefused) as error:
            return None, str(error)

    def _head(self, key: str) -> Head:
        head = self._line.insist(key, lambda: self._line.store.head(key))
        self._line.arrived(0)
        return head


class _Content:
    """The bytes of one object, and what they must be."""

    def __init__(self, line: Line, file: KeptFile, head: Head | None) -> None:
        self._line = line
        self._file = file
        self._md5 = head.metadata.get("md5sum", "").lower() if head is not None else ""
        self._stores = head.checksum if head is not None and not self._md5 else None

    def compare(self, size: int, digest: Digest | None) -> Verdict:
        """Download it once and compare."""
        crc, md5 = NumberSum(crc64nvme, spell=to_hex), HashSum("md5")
        cassandras = digest.begin() if digest is not None else None
        sums: list[Sum] = [crc] + ([md5] if self._md5 else []) + ([cassandras] if cassandras is not None else [])
        received = self._receive(size, sums)
        if received != size:
            return Verdict(size, kind=Kind.CONTENT, what=f"{received} of its {size} bytes came from the store")
        wanted, got, name = self._file.checksum, crc.spell(), "checksum"
        expected = to_hex(wanted) if wanted is not None else self._md5
        if wanted is None:
            got, name = md5.spell(), "MD5"
        if expected and got != expected:
            what = f"its content has the {name} {got}, and the file's was {expected}"
            return Verdict(size, kind=Kind.CONTENT, what=what)
        if not expected and self._stores is not None and crc.value != self._stores:
            what = f"its content has the checksum {crc.spell()}, and the store's own is {to_hex(self._stores)}"
            return Verdict(size, kind=Kind.CONTENT, what=what)
        proof = Proof.CONTENT if expected else Proof.CHECKSUM if self._stores is not None else None
        if digest is None or cassandras is None:
            if proof is None:
                return Verdict(size, kind=Kind.UNCHECKED, what="nothing is known that its content can be compared with")
            return Verdict(size, proof)
        if cassandras.spell() != digest.expected:
            what = f"its {digest.name} is {cassandras.spell()}, and Cassandra's digest says {digest.expected}"
            known = f"{what}; it was stored so" if proof else what
            return Verdict(size, proof, Kind.DIGEST, known, has_digest=True)
        return Verdict(size, Proof.CONTENT, has_digest=True)

    def _receive(self, size: int, sums: Sequence[Sum]) -> int:
        """Return how many bytes came, no more than one piece more than there should be."""
        received = 0

        def request() -> None:
            nonlocal received
            for piece in self._line.store.read(self._file.key, offset=received):
                for one in sums:
                    one.update(piece)
                received += len(piece)
                self._line.arrived(len(piece))
                if received > size:
                    return

        self._line.insist(self._file.key, request, since=lambda: received)
        return received


def _other_size(size: int, wanted: int) -> Verdict:
    return Verdict(size, kind=Kind.SIZE, what=f"has {size} bytes in the store, and had {wanted}")
