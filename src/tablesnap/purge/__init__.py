"""Forget restore points by age, and delete what no index names."""
