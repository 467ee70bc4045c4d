"""The experiments of the paper: scores of trained models, Tables 2 to 5, Figures 4 and 5."""
