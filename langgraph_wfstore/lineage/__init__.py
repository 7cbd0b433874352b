"""Lineage: why a thread says what it says, and what followed from a call, along recorded links."""
