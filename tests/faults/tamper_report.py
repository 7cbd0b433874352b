"""Prints what verify names of every kind of tampering.

python tests/faults/tamper_report.py [rows of each kind] [seed]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tampering import report

if __name__ == "__main__":
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        print(report(Path(folder), *map(int, sys.argv[1:])))
    print(f"{time.monotonic() - begun:.0f} s")
