"""What every stage shares: errors, atomic files, images, table schemas, settings, logging, progress."""
