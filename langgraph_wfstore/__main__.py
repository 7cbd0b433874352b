"""`python -m langgraph_wfstore`, the same as the command `wfstore`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
