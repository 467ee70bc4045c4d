"""The stage `collect`: from lists of photographs (web, folder, demo museum) to checked, normalised, stored images."""
