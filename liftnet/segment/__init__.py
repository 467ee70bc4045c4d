"""The stage `segment`."""
