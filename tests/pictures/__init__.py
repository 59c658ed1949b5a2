"""`make pictures`: what host and guest see, drawn from the screens of the real program."""
