"""What people type.

run.py         one command, and the exit code
arguments.py   every command, its options and its help, by argument_parser.py
word_order.py  options between a command's other words
guesses.py     what a mistyped line means
values.py      what the values of arguments may be
"""
