"""`liftnet run`: the whole line by one command, from any folder, with Snakemake underneath."""
