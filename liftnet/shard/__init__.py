"""The stage `shard`."""
