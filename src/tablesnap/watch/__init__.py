"""Hear of changes below the watched PATHs. An event is only a hint: whoever gets one looks again."""
