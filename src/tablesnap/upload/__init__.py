"""Bring captured files into the store, each under a key of its own."""
