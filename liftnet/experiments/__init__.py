"""The experiments of the papers: plans, tables, figures, and which claims hold."""
