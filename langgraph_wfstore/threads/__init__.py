"""What is known of a thread: its checkpoints in causal order, and how they are found, listed and read."""
