"""The command `wfstore`: one module per sub-command, which says its arguments and runs them."""
