"""A versioned, hash-chained, content-addressed store for LangGraph runs.

from langgraph_wfstore import WfStoreSaver
graph = builder.compile(checkpointer=WfStoreSaver("agent.db"))
"""

from .cost import CostReport
from .diff.diff import Diff
from .errors import (
    ArtifactError,
    BackendUnavailableError,
    BranchNotFoundError,
    CallNotFoundError,
    CheckpointNotFoundError,
    ConflictError,
    DecodeError,
    IntegrityError,
    MergeConflictError,
    RetentionError,
    StoreNotFoundError,
    ThreadDeletedError,
    ThreadNotFoundError,
    UnsupportedValueError,
    WfStoreError,
)
from .lineage.lineage import Lineage
from .merge.merge import Merge
from .merge.merging import Conflict
from .prices import Price, PriceTable
from .redacted import Redacted
from .redaction.redacting import RedactReport
from .retention.prune_report import PrunedThread, PruneReport
from .saver import WfStoreSaver
from .store import ThreadInfo, WfStore
from .thread import CheckpointInfo, Thread
from .tracing.infos import CallInfo, RunInfo, StepInfo
from .verify import Problem, VerifyReport

__version__ = "0.1.0"

__all__ = [
    "ArtifactError",
    "BackendUnavailableError",
    "BranchNotFoundError",
    "CallInfo",
    "CallNotFoundError",
    "CheckpointInfo",
    "CheckpointNotFoundError",
    "Conflict",
    "ConflictError",
    "CostReport",
    "DecodeError",
    "Diff",
    "IntegrityError",
    "Lineage",
    "Merge",
    "MergeConflictError",
    "Price",
    "PriceTable",
    "Problem",
    "PruneReport",
    "PrunedThread",
    "RedactReport",
    "Redacted",
    "RetentionError",
    "RunInfo",
    "StepInfo",
    "StoreNotFoundError",
    "Thread",
    "ThreadDeletedError",
    "ThreadInfo",
    "ThreadNotFoundError",
    "UnsupportedValueError",
    "VerifyReport",
    "WfStore",
    "WfStoreError",
    "WfStoreSaver",
]
