"""Tables 3 and 4 and Figures 5 and 7 of the DR-KFS paper: reconstruction networks by their own loss and by DR-KFS."""
