"""A versioned, hash-chained, content-addressed store for LangGraph runs.

from langgraph_wfstore import WfStoreSaver
graph = builder.compile(checkpointer=WfStoreSaver("agent.db"))
"""

from .errors import (
    ArtifactError,
    BackendUnavailableError,
    BranchNotFoundError,
    CheckpointNotFoundError,
    ConflictError,
    DecodeError,
    IntegrityError,
    ThreadDeletedError,
    ThreadNotFoundError,
    UnsupportedValueError,
    WfStoreError,
)
from .saver import WfStoreSaver
from .store import ThreadInfo, WfStore
from .thread import CheckpointInfo, Thread
from .verify import Problem, VerifyReport

__version__ = "0.1.0"

__all__ = [
    "ArtifactError",
    "BackendUnavailableError",
    "BranchNotFoundError",
    "CheckpointInfo",
    "CheckpointNotFoundError",
    "ConflictError",
    "DecodeError",
    "IntegrityError",
    "Problem",
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
