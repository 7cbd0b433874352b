"""A chat model that says what a script says, with the tokens and names of a real one; no key, no network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import PrivateAttr

Answer = AIMessage | Exception | Callable[[Sequence[BaseMessage]], AIMessage]


class ScriptedModel(BaseChatModel):
    """Gives one answer after the other; an Exception is raised, a function is asked.

    Attributes:
        answers: the script.
        model_name, provider: what it says it is.
    """

    answers: list[Any]
    model_name: str = "scripted-1"
    provider: str = "scripts"
    _at: int = PrivateAttr(default=0)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "temperature": 0.5, "api_key": "sk-secret"}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": self.model_name, "ls_model_type": "chat"}

    def _next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        with self._lock:
            answer = self.answers[min(self._at, len(self.answers) - 1)]
            self._at += 1
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, AIMessage) else answer(messages)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        answer = self._next(messages)
        words = str(answer.content).split(" ")
        for at, word in enumerate(words):
            last = at == len(words) - 1
            piece = AIMessageChunk(
                content=word if last else f"{word} ",
                id=answer.id,
                usage_metadata=answer.usage_metadata if last else None,
                response_metadata=answer.response_metadata if last else {},
            )
            chunk = ChatGenerationChunk(message=piece)
            if run_manager is not None:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=[{"type": "function", "function": {"name": tool.name}} for tool in tools], **kwargs)


def says(text: str, name: str, *calls: tuple[str, dict[str, Any], str], tokens: tuple[int, int] = (10, 5)) -> AIMessage:
    """An answer: its text, its id, tool calls as (tool, arguments, id), and how many tokens it took and gave."""
    return AIMessage(
        text,
        id=name,
        tool_calls=[ToolCall(name=tool, args=args, id=call_id, type="tool_call") for tool, args, call_id in calls],
        usage_metadata={"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)},
        response_metadata={"model_name": "scripted-1-answering", "finish_reason": "tool_calls" if calls else "stop"},
    )
