"""What people read, and programs: text of at most 80 columns, or JSON."""
