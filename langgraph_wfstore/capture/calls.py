"""What LangChain's callbacks say of model calls, tool calls and retrievals, as fields of records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..records import CallRecord, Usage

# Of what a model is asked with, only these stand in a record: whatever else integrations pass on may be a secret.
_PARAMETERS = frozenset(
    [
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "max_new_tokens",
        "seed",
        "stop",
        "stop_sequences",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "n",
        "best_of",
        "logprobs",
        "top_logprobs",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning",
        "reasoning_effort",
        "thinking",
        "thinking_budget",
        "verbosity",
        "service_tier",
        "stream",
        "streaming",
        "truncation",
        "candidate_count",
        "model",
        "model_name",
        "model_id",
    ]
)
_TOOLS = ("tools", "functions")
Asked = tuple[CallRecord, dict[str, Any], Any]


def model_asked(
    given: Any, common: Mapping[str, Any], serialized: Mapping[str, Any] | None, facts: Mapping[str, Any]
) -> Asked:
    """The record of a model call, the values that go into it, and what its content digest is made of.

    Args:
        given: messages, or a prompt.
        common: what all calls have in common.
        facts: the callback's further arguments.
    """
    metadata = facts.get("metadata") or {}
    asked = facts.get("invocation_params") or {}
    parameters = {name: value for name, value in asked.items() if name in _PARAMETERS and value is not None}
    left_out = sorted(str(name) for name in asked if name not in _PARAMETERS and name not in ("_type", *_TOOLS))
    if left_out:
        parameters["not recorded"] = left_out
    record = CallRecord(
        **common,
        type="model",
        name=facts.get("name") or _class_name(serialized) or str(asked.get("_type", "")),
        provider=_text(metadata.get("ls_provider")),
        model=_text(metadata.get("ls_model_name") or asked.get("model") or asked.get("model_name")),
        tool_call_id=None,
        parameters=None,
        tools=None,
        input=None,
        content=None,
    )
    tools = next((asked[name] for name in _TOOLS if asked.get(name)), None)
    return record, {"parameters": parameters or None, "tools": tools, "input": given}, given


def model_answered(response: Any) -> tuple[Any, dict[str, Any]]:
    """What a model answered, and the facts about it that stand in a record."""
    generations = [item for items in getattr(response, "generations", ()) for item in items]
    messages = [found for item in generations if (found := getattr(item, "message", None)) is not None]
    whole = getattr(response, "llm_output", None) or {}
    if not messages:
        texts = [str(getattr(item, "text", "")) for item in generations]
        usage = usage_of(whole.get("token_usage") or whole.get("usage"))
        text_facts = {"usage": usage, "model": _text(whole.get("model_name"))}
        return texts[0] if len(texts) == 1 else texts, {k: v for k, v in text_facts.items() if v is not None}
    first = messages[0]
    details = getattr(first, "response_metadata", None) or {}
    usage = usage_of(getattr(first, "usage_metadata", None)) or usage_of(whole.get("token_usage") or whole.get("usage"))
    reasons = [
        found for item in messages if (found := _reason(getattr(item, "response_metadata", None) or {})) is not None
    ]
    facts: dict[str, Any] = {
        "usage": usage,
        "cached": True if (getattr(first, "usage_metadata", None) or {}).get("total_cost") == 0 else None,
        "model": _text(details.get("model_name") or details.get("model") or whole.get("model_name")),
        "response_id": _text(details.get("id") or details.get("response_id")),
        "finish": tuple(reasons),
        "messages": tuple(item.id for item in messages if type(getattr(item, "id", None)) is str),
        "tool_calls": tuple(
            str(call["id"])
            for item in messages
            for call in getattr(item, "tool_calls", None) or ()
            if call.get("id") is not None
        ),
    }
    return first if len(messages) == 1 else messages, {k: v for k, v in facts.items() if v is not None}


def usage_of(found: Any) -> Usage | None:
    """Tokens, from LangChain's usage metadata or from what OpenAI's and Anthropic's APIs say; None if it says none."""
    if not isinstance(found, Mapping):
        return None
    given, got = _count(found, "input_tokens", "prompt_tokens"), _count(found, "output_tokens", "completion_tokens")
    if given is None and got is None:
        return None
    into = found.get("input_token_details") or found.get("prompt_tokens_details") or {}
    out = found.get("output_token_details") or found.get("completion_tokens_details") or {}
    return Usage(
        input=given,
        output=got,
        cache_read=_count(into, "cache_read", "cached_tokens"),
        cache_write=_cache_writes(into),
        cache_write_hour=_count(into, "ephemeral_1h_input_tokens"),
        reasoning=_count(out, "reasoning", "reasoning_tokens"),
        audio_input=_count(into, "audio", "audio_tokens"),
        audio_output=_count(out, "audio", "audio_tokens"),
    )


def _cache_writes(details: Any) -> int | None:
    """Tokens written to a cache; Anthropic's integration splits them by how long they are kept."""
    whole = _count(details, "cache_creation", "cache_write")
    if whole:
        return whole
    parts = [_count(details, name) for name in ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")]
    known = [part for part in parts if part is not None]
    return sum(known) if known else whole


def _count(found: Any, *names: str) -> int | None:
    if isinstance(found, Mapping):
        for name in names:
            value = found.get(name)
            if type(value) is int and value >= 0:
                return value
    return None


def _reason(details: Mapping[str, Any]) -> str | None:
    return _text(details.get("finish_reason") or details.get("stop_reason") or details.get("done_reason"))


def tool_asked(
    given: str, common: Mapping[str, Any], serialized: Mapping[str, Any] | None, facts: Mapping[str, Any]
) -> Asked:
    """As `model_asked`, of a tool call: its arguments."""
    arguments = facts.get("inputs")
    arguments = given if arguments is None else arguments
    name = facts.get("name") or (serialized or {}).get("name") or _class_name(serialized) or ""
    record = _plain(common, "tool", str(name), _text(facts.get("tool_call_id")))
    return record, {"input": arguments}, arguments


def retriever_asked(
    given: str, common: Mapping[str, Any], serialized: Mapping[str, Any] | None, facts: Mapping[str, Any]
) -> Asked:
    """As `model_asked`, of a retrieval: its query."""
    name = facts.get("name") or _class_name(serialized) or ""
    return _plain(common, "retriever", str(name), None), {"input": given}, given


def _plain(common: Mapping[str, Any], kind: str, name: str, tool_call_id: str | None) -> CallRecord:
    return CallRecord(
        **common,
        type=kind,
        name=name,
        provider=None,
        model=None,
        tool_call_id=tool_call_id,
        parameters=None,
        tools=None,
        input=None,
        content=None,
    )


def _class_name(serialized: Mapping[str, Any] | None) -> str | None:
    names: Sequence[Any] = (serialized or {}).get("id") or ()
    return str(names[-1]) if names else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
