"""What a call was asked and what came back, in one form for all models: equal contents are equal.

Messages become roles and parts in the words of OpenTelemetry's GenAI conventions (text, reasoning, tool_call,
tool_call_response, blob, file, uri), without ids, names, usage, times and response metadata; arguments of tools are
parsed. What a record keeps of it is a keyed digest (FORMAT.md, section 6); the form itself follows from the raw value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
_MODALITIES = ("image", "audio", "video")


def normalised(value: Any) -> Any:
    """The normal form of a call's input or output: plain data."""
    if _is_message(value):
        return message(value)
    if isinstance(value, list | tuple) and value and all(map(_is_message, value)):
        return [message(item) for item in value]
    if isinstance(value, str):
        return _parsed(value)
    return _plain(value)


def content_key(value: Any) -> bytes:
    """SHA-256 over the normal form, as JSON with sorted keys; of messages in a list, over the hashes of them."""
    form = normalised(value)
    if isinstance(value, list | tuple) and value and all(map(_is_message, value)):
        return hashlib.sha256(b"".join(hash_of(item) for item in form)).digest()
    return hash_of(form)


def hash_of(form: Any) -> bytes:
    """SHA-256 over the JSON of a normal form."""
    return hashlib.sha256(_json(form)).digest()


def message(value: Any) -> dict[str, Any]:
    """The normal form of a message: role and parts."""
    kind = str(getattr(value, "type", "")).removesuffix("MessageChunk").lower()
    own = getattr(value, "role", None)
    role = own if isinstance(own, str) and own else _ROLES.get(kind, kind)
    if role == "tool":
        return {"role": role, "parts": [{"type": "tool_call_response", "response": _response(value.content)}]}
    parts = _parts(value.content)
    for call in tool_calls(value):
        parts.append({"type": "tool_call", "name": call.get("name"), "arguments": _plain(call.get("args"))})
    for call in tool_calls(value, "invalid_tool_calls"):
        parts.append({"type": "tool_call", "name": call.get("name"), "arguments": _parsed(call.get("args") or "")})
    return {"role": role, "parts": parts}


def tool_calls(value: Any, field: str = "tool_calls") -> list[Mapping[str, Any]]:
    """The tool calls that a message asks for; nothing checks what stands in a message once it was made."""
    found = getattr(value, field, None)
    return [call for call in found if isinstance(call, Mapping)] if isinstance(found, list | tuple) else []


def _is_message(value: Any) -> bool:
    return hasattr(value, "content") and hasattr(value, "type") and hasattr(value, "additional_kwargs")


def _response(content: Any) -> Any:
    if isinstance(content, str):
        return _parsed(content)
    parts = _parts(content)
    return parts[0]["content"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}] if content else []
    if not isinstance(content, Sequence):
        return [{"type": "text", "content": str(content)}]
    found = (_part(block) for block in content)
    return [part for part in found if part is not None]


def _part(block: Any) -> dict[str, Any] | None:
    """One block of a content; None for what a message says elsewhere too."""
    if isinstance(block, str):
        return {"type": "text", "content": block} if block else None
    if not isinstance(block, Mapping):
        return {"type": "text", "content": str(block)}
    kind = str(block.get("type", ""))
    if kind in ("tool_use", "tool_call", "function_call", "tool_call_chunk", "input_json_delta"):
        return None
    if kind in ("text", "output_text", "input_text"):
        return {"type": "text", "content": str(block.get("text", ""))} if block.get("text") else None
    if kind in ("reasoning", "thinking"):
        return {"type": "reasoning", "content": block.get("reasoning") or block.get("thinking") or ""}
    for media in (*_MODALITIES, "file"):
        if kind.startswith(media):
            return _media(media, block)
    return {"type": kind or "unknown", **{str(k): _plain(v) for k, v in block.items() if k not in ("type", "id")}}


def _media(modality: str, block: Mapping[str, Any]) -> dict[str, Any]:
    inner = block.get(f"{modality}_url")
    url = inner.get("url") if isinstance(inner, Mapping) else inner or block.get("url")
    mime = block.get("mime_type")
    if isinstance(url, str) and url.startswith("data:"):
        head, _, inline = url.removeprefix("data:").partition(",")
        return {"type": "blob", "modality": modality, "mime_type": head.partition(";")[0], "content": inline}
    if url is not None:
        return {"type": "uri", "modality": modality, "uri": str(url)}
    data = block.get("base64") or block.get("data")
    if data is not None:
        return {"type": "blob", "modality": modality, "mime_type": mime, "content": _plain(data)}
    return {"type": "file", "modality": modality, "file_id": block.get("file_id") or block.get("id")}


def _parsed(text: Any) -> Any:
    """JSON that stands in a text as what it says, any other text as it is, and what is no text in the normal form."""
    if not isinstance(text, str):
        return _plain(text)
    if text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if _is_message(value):
        return message(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=repr)
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump())
    return repr(value)


def _json(form: Any) -> bytes:
    try:
        return orjson.dumps(form, option=_OPTIONS)
    except TypeError:  # an integer beyond 64 bits, a lone surrogate
        return json.dumps(form, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=repr).encode()
