"""Statistics of a dataset, from its files alone: tallies, tables, figures, funnel."""
