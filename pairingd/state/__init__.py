"""What must outlive the process: the intent, the journal, the history, and the marks.

`intent` is the only place where State changes. `store` is the database: `schema` migrates it,
`set_aside` has the files of an unreadable one, `sessions`, `history` and `rows` are its records,
`leftovers` reads it without a daemon. `live` has the marks, which hold on a full disk. `visits` are
what receipts are made of.
"""
