"""What differs between two branches, or checkpoints, of a thread: states, steps, calls and costs."""
