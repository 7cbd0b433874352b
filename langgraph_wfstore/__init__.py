"""A versioned, hash-chained, content-addressed store for LangGraph runs.

from langgraph_wfstore import WfStoreSaver
graph = builder.compile(checkpointer=WfStoreSaver("agent.db"))
"""

from .cost import CostReport
from .errors import (
    ArtifactError,
    BackendUnavailableError,
    BranchNotFoundError,
    CallNotFoundError,
    CheckpointNotFoundError,
    ConflictError,
    DecodeError,
    IntegrityError,
    RetentionError,
    ThreadDeletedError,
    ThreadNotFoundError,
    UnsupportedValueError,
    WfStoreError,
)
from .lineage import Lineage
from .prices import Price, PriceTable
from .prune_report import PrunedThread, PruneReport
from .saver import WfStoreSaver
from .store import ThreadInfo, WfStore
from .thread import CheckpointInfo, Thread
from .traces import CallInfo, RunInfo, StepInfo
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
    "ConflictError",
    "CostReport",
    "DecodeError",
    "IntegrityError",
    "Lineage",
    "Price",
    "PriceTable",
    "Problem",
    "PruneReport",
    "PrunedThread",
    "RetentionError",
    "RunInfo",
    "StepInfo",
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
