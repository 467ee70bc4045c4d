"""One self-contained page about a run: tables, losses at each step, samples of every intermediate result."""
