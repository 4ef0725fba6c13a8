"""Pure rules: no clock, no disk, no log, no store."""
