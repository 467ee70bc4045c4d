"""The ways to find features and to compare them, a module each."""
