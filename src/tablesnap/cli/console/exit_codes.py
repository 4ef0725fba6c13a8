"""What every command's exit code says."""

EXIT_OK = 0  # done, and checked
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_FAULTY = 3  # finished, but something is missing or faulty
EXIT_INTERRUPTED = 130
