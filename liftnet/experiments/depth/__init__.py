"""The LiftNet paper: Tables 2 to 5, Figures 4 and 5, from score files and trained models."""
