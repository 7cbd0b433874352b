"""Merging one line of a thread into another: by channel, by element, and with what was to run next."""
