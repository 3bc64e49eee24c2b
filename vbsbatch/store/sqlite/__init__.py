"""The store as one SQLite file: the only package that imports `sqlite3`."""
