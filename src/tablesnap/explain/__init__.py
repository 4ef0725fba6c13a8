"""Say of each file whether it is protected, without a daemon."""
