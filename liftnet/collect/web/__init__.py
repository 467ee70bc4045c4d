"""The web: a polite, bounded, suspicious HTTP client, and whose turn it is at each host."""
