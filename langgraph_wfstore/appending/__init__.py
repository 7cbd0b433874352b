"""Appends: what is put or captured becomes records, objects and a seal, and gets to the engine in order."""
