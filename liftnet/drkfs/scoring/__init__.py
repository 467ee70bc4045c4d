"""What `drkfs score` does: couples of shapes, their scores, pictures of where they differ."""
