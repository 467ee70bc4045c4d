"""Learning: the one training loop, its checkpoints, schedules and settings, and the hold-out of works."""
