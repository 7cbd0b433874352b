"""The README.txt of an artifact: what it is and how to read it, for somebody who has only `unzip`."""

from __future__ import annotations

from ..canonical import hex_id
from .manifest import Manifest

_TEXT = """This file is one thread of an agent: every state, step, model call and tool call that was recorded of it.

  thread    {thread}
  head      {head}
  root      {root}
  records   {records}, of which {sealed} are sealed by {seals} seals
  values    {objects} lines{lost}

  manifest.json         what is in here, with the SHA-256 of every member
  records/*.jsonl       the records, one in each line, in the order in which they were stored: states (checkpoint), what
                        tasks wrote (write), and runs, steps, calls and how they ended (run, step, call, end)
  objects/*.jsonl       the values that the records name by their ids: each line is an object with its bytes, or a list
                        or a dict of others. The bytes of a text are under "latin1", as readable as they are,
                        or under "base64"
  index/*.txt           where each record and each value stands: id, number of the member, offset, length
  derived/messages.txt  the messages at the end of each branch, to be read. Derived: it proves nothing
  signatures/           if it was signed

To find what a record names, search its id:   grep -h sha256:... objects/*.jsonl

To see that a text is not in here, it is not enough to search for it as it is. It may stand escaped as JSON, also twice,
in base64, of which there are three, by how many bytes are before it, in hexadecimal, and of a long list of short texts
over the end of one line and the beginning of another. In Python, langgraph_wfstore.artifact.searching.holds("FILE.wfz",
"the text") looks for these. What was encoded before it was stored, it does not find: compressed bytes, say.

To check that nothing was changed since it was recorded: python3 wfstore_verify.py FILE.wfz, with a head or a root, or a
signer's public key, that you have from elsewhere. The script is one file, needs nothing but Python, and comes with the
package langgraph-wfstore. FORMAT.md of that package says what every byte means, section 15 what this archive is.
"""


def readme(manifest: Manifest) -> str:
    """The text."""
    lost = [f"{n} {what}" for n, what in ((manifest.redacted, "redacted"), (manifest.withheld, "withheld")) if n]
    return _TEXT.format(
        thread=manifest.thread_id.encode("unicode_escape").decode("ascii"),
        head="(nothing is sealed)" if manifest.head is None else hex_id(manifest.head),
        root=hex_id(manifest.root),
        records=manifest.records,
        sealed=manifest.sealed,
        seals=manifest.seals,
        objects=manifest.objects,
        lost=f", of which {' and '.join(lost)}" if lost else "",
    )
