"""The restore points a store holds: find the newest, write the next."""
