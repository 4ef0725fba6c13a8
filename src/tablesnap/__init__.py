"""Tablesnap copies write-once files, above all Cassandra's sstables, to object storage as they appear."""

__version__ = "2.0.0.dev0"
