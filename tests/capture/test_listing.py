import os
from pathlib import Path

import pytest

from tablesnap.capture.listing import Disk, look_at_directory, look_at_file
from tablesnap.rules.incarnation import Incarnation


def test_a_listing_holds_regular_files_and_says_which_links_there_were(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    status = (tmp_path / "file").stat()

    listing = look_at_directory(str(tmp_path))

    assert listing.files == {"file": Incarnation(size=3, mtime_ns=status.st_mtime_ns, inode=status.st_ino)}
    assert listing.links == ("dangling", "link")
    assert listing.disk == Disk(tmp_path.stat().st_dev, str(tmp_path))


def test_a_listing_says_where_links_in_the_path_of_the_directory_lead(tmp_path: Path) -> None:
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")

    assert look_at_directory(str(tmp_path / "link" / "below")).disk.real == str(tmp_path / "real" / "below")


def test_names_that_are_no_utf8_are_listed_and_can_be_looked_at(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9"
    with open(raw, "wb") as file:
        file.write(b"x")

    (name,) = look_at_directory(str(tmp_path)).files

    assert look_at_file(os.path.join(tmp_path, name)) is not None


def test_a_directory_that_is_gone_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look_at_directory(str(tmp_path / "gone"))


@pytest.mark.parametrize("name", ["gone", "directory", "link"])
def test_what_is_no_regular_file_has_no_incarnation(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("file")

    assert look_at_file(str(tmp_path / name)) is None
