"""What other programs read of a dataset: a module a format, each of which writes one work into a folder."""
