"""Retention: what is removed and what stays, from a policy to the one change that an engine applies."""
