"""One module for each command: `run(args)` calls the daemon, prints, and raises failures."""
