"""The daemon: one thread decides, the others do."""
