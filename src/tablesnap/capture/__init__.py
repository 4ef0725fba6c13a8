"""Take hold of a file: its bytes, their checksum, and proof that it did not change meanwhile."""
