"""The stage `match`."""
