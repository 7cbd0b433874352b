"""Makes the golden artifacts, from `thread-v1.db`: `artifacts.json`, the identity of each thread's, and one of them.

python tests/golden/make_artifacts.py          # refuses to replace what is there
python tests/golden/make_artifacts.py --anew   # before the first release only
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from make_golden import FILE

from langgraph_wfstore import WfStore

HERE = Path(__file__).parent
IDENTITIES, ARTIFACT = HERE / "artifacts.json", HERE / "artifact-v1.wfz"
THREAD = "traced"


def identities(store: WfStore, folder: Path) -> dict[str, str]:
    """The identity of each thread's artifact."""
    return {name: store.thread(name).export(folder / "a.wfz").identity for name in store.thread_ids()}


def main() -> None:
    """Write both files."""
    if "--anew" not in sys.argv and (IDENTITIES.exists() or ARTIFACT.exists()):
        sys.exit("the golden files are there and do not change; see the first lines of this script")
    with TemporaryDirectory() as folder, WfStore.open(shutil.copy(FILE, folder)) as store:
        IDENTITIES.write_text(json.dumps(identities(store, Path(folder)), indent=1) + "\n", "utf-8")
        store.thread(THREAD).export(ARTIFACT)


if __name__ == "__main__":
    main()
