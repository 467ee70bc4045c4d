"""Jobs by host: what is planned, what is fetched, what is written down."""
