"""Make the manual pages and the shells' completion, from the parsers and docs/reference. None of this is installed."""
