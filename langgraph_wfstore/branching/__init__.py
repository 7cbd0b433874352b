"""Branches: which one a new checkpoint goes on, and the verbs that create, rename, switch and list them."""
