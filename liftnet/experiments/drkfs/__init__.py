"""What the DR-KFS paper shows without a reconstruction network: its Figures 2, 5 and 6, its Tables 4 and 5."""
