"""Networks and their folders."""
