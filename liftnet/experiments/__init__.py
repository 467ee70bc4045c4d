"""The experiments of the papers: scores, tables, figures."""
