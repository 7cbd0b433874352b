"""The recorded runs, steps and calls of a thread, as they are read and shown."""
