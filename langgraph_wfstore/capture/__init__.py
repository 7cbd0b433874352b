"""Capture: sees the runs, steps and calls of a graph while it runs, and holds nodes back where it must."""
