"""The stage `verify`."""
