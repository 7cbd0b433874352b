"""What tokens cost: a protocol, a table of one's own, and the `genai-prices` package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from .records import Usage

MILLION = Decimal(1_000_000)
# What LangChain's integrations call a provider, where genai-prices calls it otherwise.
_PROVIDERS = {
    "google_genai": "google",
    "google_vertexai": "google",
    "amazon_bedrock": "aws",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "anthropic_bedrock": "aws",
    "azure_openai": "azure",
    "azure_ai": "azure",
    "mistralai": "mistral",
    "xai": "x-ai",
}


class Pricer(Protocol):
    """Says what a model call cost."""

    def price(self, usage: Usage, model: str, provider: str | None, at: datetime) -> Decimal | None:
        """The price of one call.

        Args:
            usage: its tokens; the details are parts of `input` and `output`.
            model: the model that answered, as it names itself.
            provider: as LangChain's integration calls it; None if it does not say.
            at: when the call began, UTC: prices change.

        Returns:
            US dollars, or whatever else the pricer counts in; None if it knows no price, never 0 for that.
        """


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost.

    Attributes:
        cache_read, cache_write: of input from and into the cache; those that are None cost what other input does.
        cache_write_hour: of input that is cached for an hour; None: as `cache_write`.
        reasoning: of reasoning; None: as other output.
        since: from when on; None: from the beginning.
    """

    input: Decimal | float | int | str
    output: Decimal | float | int | str
    cache_read: Decimal | float | int | str | None = None
    cache_write: Decimal | float | int | str | None = None
    cache_write_hour: Decimal | float | int | str | None = None
    reasoning: Decimal | float | int | str | None = None
    since: datetime | None = None

    def of(self, usage: Usage) -> Decimal:
        """The price of these tokens."""
        read, written = usage.cache_read or 0, usage.cache_write or 0
        hour = min(usage.cache_write_hour or 0, written)
        thought = min(usage.reasoning or 0, usage.output or 0)
        plain = max((usage.input or 0) - read - written, 0)
        rates = {
            "read": self.input if self.cache_read is None else self.cache_read,
            "written": self.input if self.cache_write is None else self.cache_write,
        }
        rates["hour"] = rates["written"] if self.cache_write_hour is None else self.cache_write_hour
        total = plain * _decimal(self.input) + read * _decimal(rates["read"])
        total += (written - hour) * _decimal(rates["written"]) + hour * _decimal(rates["hour"])
        total += ((usage.output or 0) - thought) * _decimal(self.output)
        total += thought * _decimal(self.output if self.reasoning is None else self.reasoning)
        return total / MILLION


def _decimal(value: Decimal | float | int | str) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


class PriceTable:
    """Prices of one's own.

    Args:
        prices: per model name its price, or several with their `since`.
    """

    def __init__(self, prices: Mapping[str, Price | list[Price]]) -> None:
        self._prices = {name: [p] if isinstance(p, Price) else list(p) for name, p in prices.items()}

    def price(self, usage: Usage, model: str, provider: str | None, at: datetime) -> Decimal | None:
        """See `Pricer.price`; the price that began last before `at`."""
        begun = [p for p in self._prices.get(model, ()) if p.since is None or _aware(p.since) <= at]
        if not begun:
            return None
        return max(begun, key=lambda p: datetime.min.replace(tzinfo=UTC) if p.since is None else _aware(p.since)).of(
            usage
        )


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


class GenaiPrices:
    """The prices of the `genai-prices` package, in US dollars; needs the extra `cost`. It is offline data.

    Raises:
        ImportError: the package is not installed; says how to get it.
    """

    def __init__(self) -> None:
        try:
            import genai_prices
        except ImportError as error:
            raise ImportError(
                "prices need the package genai-prices: pip install 'langgraph-wfstore[cost]', or pass a price table: "
                "thread.cost(pricer=PriceTable({'my-model': Price(input=2.5, output=10)}))"
            ) from error
        self._prices = genai_prices

    def price(self, usage: Usage, model: str, provider: str | None, at: datetime) -> Decimal | None:
        """See `Pricer.price`; a model of a provider that it does not know has no price."""
        names = {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "cache_read_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "cache_write_1h_tokens": usage.cache_write_hour,
            "output_reasoning_tokens": usage.reasoning,
            "input_audio_tokens": usage.audio_input,
            "output_audio_tokens": usage.audio_output,
        }
        tokens = self._prices.Usage(**{name: count for name, count in names.items() if count})
        for name in dict.fromkeys((provider, _PROVIDERS.get(provider or "", provider))):
            try:
                found = self._prices.calc_price(tokens, model, provider_id=name, genai_request_timestamp=at)
            except (LookupError, ValueError):
                continue
            return Decimal(found.total_price)
        return None
