"""The stage `collect`: from lists of photographs (web, folder, museum) to checked, normalised, stored images."""
