"""What a PostgreSQL store is opened with: our own parameters in the URL, the rest is libpq's."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ...errors import BackendUnavailableError, WfStoreError

_EXTRA = "PostgreSQL needs psycopg: pip install 'langgraph-wfstore[postgres]'"


class Options(NamedTuple):
    """How to open a store; `source` is without our parameters, `place` is what messages call it."""

    schema: str
    pool_size: int
    timeout: float
    prepare: bool
    source: Any = None
    place: str = ""


def options_of(source: Any, given: Options) -> Options:
    """The options, with those that the URL names in their place.

    Raises:
        WfStoreError: psycopg is not installed, or the URL is not one.
        BackendUnavailableError: a connection that is closed.
        ValueError: a parameter has a value that it cannot have.
    """
    for package in ("psycopg", "psycopg_pool"):
        try:
            import_module(package)
        except ImportError as error:
            raise WfStoreError(f"{_EXTRA} ({error})") from error
    if not isinstance(source, str):
        return _checked(given._replace(source=source, place=_place_of(source)))
    parts = urlsplit(source)
    ours, rest = {}, []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in ("schema", "pool_size", "timeout", "prepare"):
            ours[name] = value
        else:
            rest.append((name, value))
    try:
        found = given._replace(
            schema=ours.get("schema", given.schema),
            pool_size=int(ours.get("pool_size", given.pool_size)),
            timeout=float(ours.get("timeout", given.timeout)),
            prepare=_flag(ours["prepare"]) if "prepare" in ours else given.prepare,
        )
    except ValueError as error:
        raise ValueError(f"in the URL of {_url_place(source)}: {error}") from error
    # Put together by hand: urlunsplit leaves out the slashes of a URL without a host.
    query = urlencode(rest, quote_via=quote)
    url = f"{parts.scheme}://{parts.netloc}{parts.path}{f'?{query}' if query else ''}"
    _check_url(url)
    return _checked(found._replace(source=url, place=_url_place(url)))


def _checked(options: Options) -> Options:
    if options.pool_size < 1 or not options.timeout > 0:
        raise ValueError(
            f"pool_size is at least 1 and timeout above 0 seconds, not {options.pool_size} and {options.timeout}"
        )
    return options


def _flag(value: str) -> bool:
    if value in ("1", "true", "on"):
        return True
    if value in ("0", "false", "off"):
        return False
    raise ValueError(f"prepare is 1 or 0, not {value!r}")


def _check_url(url: str) -> None:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(url)
    except ProgrammingError as error:
        raise WfStoreError(
            f"{_url_place(url)} is no PostgreSQL URL: {' '.join(str(error).split())}. Of our own there are the "
            "parameters schema, pool_size, timeout and prepare"
        ) from error


def _url_place(url: str) -> str:
    """The URL as it can be shown: without user, password and parameters."""
    parts = urlsplit(url)
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _place_of(source: Any) -> str:
    """What a pool or a connection leads to."""
    from psycopg.conninfo import conninfo_to_dict

    info = conninfo_to_dict(source.conninfo) if hasattr(source, "conninfo") and isinstance(source.conninfo, str) else {}
    if getattr(source, "closed", False) and hasattr(source, "info"):
        raise BackendUnavailableError("the connection to PostgreSQL is closed; give the store one that is open")
    if hasattr(source, "info"):
        return f"postgresql://{source.info.host}:{source.info.port}/{source.info.dbname}"
    return f"postgresql://{info.get('host', '')}:{info.get('port', 5432)}/{info.get('dbname', '')}"
