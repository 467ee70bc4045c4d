"""The stage `depth`."""
