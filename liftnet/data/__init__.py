"""What comes from outside and what stands on disk: pictures, tables and their schemas, datasets, licences, truth."""
