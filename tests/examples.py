"""How many examples Hypothesis takes where a test wants another number than its default."""

from hypothesis import settings

DEFAULT = 100  # of Hypothesis


def examples(number: int) -> int:
    """Return *number*, or the share of it that the chosen profile takes of the default."""
    return max(1, number * settings().max_examples // DEFAULT)
