"""The daemon, from outside: found, started, asked and stopped."""
