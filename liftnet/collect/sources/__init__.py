"""The lists of what to collect: files of URLs or paths, folders, the synthetic museum, and what catalogues answer."""
