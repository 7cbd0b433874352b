"""The artifact: a thread as one file; made, read, imported, proven from and signed (FORMAT.md, section 15)."""
