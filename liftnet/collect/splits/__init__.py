"""Who is who, what is a copy, and what no split may divide."""
