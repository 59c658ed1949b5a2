"""One verb each: `run(args)` asks the daemon and prints; failures are raised."""
