"""The contract that every backend keeps, as test classes, so that you can test one of your own.

A test module gives two fixtures, `saver` (an open `WfStoreSaver` on a fresh and empty place) and `reopen` (a function
that gives another, independent open saver on the same place), and takes all parts of the contract::

    class MyBackend:
        @pytest.fixture
        def saver(self, tmp_path): ...

        @pytest.fixture
        def reopen(self, saver): ...

    globals().update(contract_tests(MyBackend))

A place that a URL leads to needs one fixture, `url`, and `AtUrl` as the base of the class. Each test that has a sync
and an async form runs through both. A single part can be subclassed as well.
"""

from __future__ import annotations

from . import rewriting  # noqa: F401 - imported for what it does, before the others
from .api import Api, AsyncApi, SyncApi, within
from .contract import AtUrl, Contract, Reopen
from .contract_after_redaction import AfterRedactionContract
from .contract_agents import AgentsContract
from .contract_artifacts import ArtifactsContract, ArtifactUseContract, WithheldContract
from .contract_branches import BranchesContract, BranchRunsContract
from .contract_capture import CaptureContract, LineageContract
from .contract_concurrency import ConcurrencyContract, EventLoopsContract
from .contract_conflicts import ConflictsContract, LeasesContract
from .contract_conformance import ConformanceContract
from .contract_copies import CopiesContract
from .contract_delta import DeltaContract, DeltaWalkContract
from .contract_diff import DiffContract, DiffOfCallsContract, DiffOfStatesContract
from .contract_diff_lines import DiffCostContract, DiffOfLinesContract
from .contract_diff_merged import DiffOfMergedContract, DiffOfMergedLinesContract
from .contract_during_runs import DuringRunsContract
from .contract_floor import RetentionFloorContract
from .contract_graphs import GraphsContract, SaverErrorsContract
from .contract_interrupts import InterruptsContract
from .contract_list_values import ListValuesContract
from .contract_listing import IterationContract, ListingContract
from .contract_merge import MergeContract
from .contract_merge_conflict import MergeConflictContract
from .contract_merged import MergeScheduleContract, MergeStorageContract
from .contract_metadata import FilterContract, MetadataContract
from .contract_order import CausalOrderContract, LatestContract
from .contract_overtaken import OvertakenContract
from .contract_pruning import (
    PruneBranchesContract,
    PruneGraphsContract,
    PrunePolicyContract,
)
from .contract_redacted_branches import RedactedBranchesContract
from .contract_redaction import RedactionContract
from .contract_retention import DeleteForRunsContract, DeleteThreadContract, PruneContract
from .contract_saver import IdempotenceContract, NextVersionContract, PutAndGetContract, RefusalContract
from .contract_shared_heads import SharedHeadContract, SharedQuestionContract
from .contract_subgraphs import SubgraphsContract
from .contract_threads import ThreadIdContract, ThreadListContract
from .contract_true_states import TrueStatesContract
from .contract_values import LostClassContract, MutationContract, ValuesContract
from .contract_verify import VerifyContract
from .contract_writes import WritesContract

PARTS: tuple[type[Contract], ...] = (
    PutAndGetContract,
    IdempotenceContract,
    RefusalContract,
    NextVersionContract,
    WritesContract,
    MetadataContract,
    FilterContract,
    ThreadIdContract,
    ThreadListContract,
    ListingContract,
    IterationContract,
    CausalOrderContract,
    LatestContract,
    BranchesContract,
    BranchRunsContract,
    SharedQuestionContract,
    SharedHeadContract,
    ConflictsContract,
    LeasesContract,
    ValuesContract,
    LostClassContract,
    MutationContract,
    ListValuesContract,
    TrueStatesContract,
    CaptureContract,
    LineageContract,
    AgentsContract,
    DiffContract,
    DiffOfCallsContract,
    DiffOfStatesContract,
    DiffOfLinesContract,
    DiffCostContract,
    DiffOfMergedContract,
    DiffOfMergedLinesContract,
    GraphsContract,
    SaverErrorsContract,
    InterruptsContract,
    SubgraphsContract,
    DeltaContract,
    DeltaWalkContract,
    DeleteThreadContract,
    DeleteForRunsContract,
    PruneContract,
    RedactionContract,
    AfterRedactionContract,
    RedactedBranchesContract,
    PrunePolicyContract,
    PruneBranchesContract,
    PruneGraphsContract,
    RetentionFloorContract,
    OvertakenContract,
    DuringRunsContract,
    CopiesContract,
    MergeContract,
    MergeConflictContract,
    MergeScheduleContract,
    MergeStorageContract,
    ArtifactsContract,
    ArtifactUseContract,
    WithheldContract,
    ConcurrencyContract,
    EventLoopsContract,
    VerifyContract,
    ConformanceContract,
)
"""All parts of the contract."""


def contract_tests(fixtures: type) -> dict[str, type]:
    """A test class for each part of the contract, by its name, with the fixtures of this class."""
    names = {part: f"Test{part.__name__.removesuffix('Contract')}" for part in PARTS}
    return {name: type(name, (fixtures, part), {"__module__": fixtures.__module__}) for part, name in names.items()}


__all__ = [
    "PARTS",
    "Api",
    "AsyncApi",
    "AtUrl",
    "Contract",
    "Reopen",
    "SyncApi",
    "contract_tests",
    "within",
]
