"""What networks learn from: crops, pairs, target depth, in batches."""
