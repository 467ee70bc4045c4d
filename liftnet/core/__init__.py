"""What everything stands on: errors, atomic files, settings, ids and seeds, parallel work, log, the command line."""
