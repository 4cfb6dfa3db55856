"""What the operator reads: structlog for what we say, the standard library's logging for what others say, one way out.

Nobody who logs has to think of keys: the last step before an event is written masks them in every string of it,
tracebacks included. What strangers wrote cannot forge a line, drive a terminal or fill the disk.
"""

import logging
import logging.config
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, TextIO, final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Redact = Callable[[str], str]
"""Masks the keys in a text. Called from any thread."""

_LONGEST: Final = 2_000  # characters of a value that are logged …
_LONGEST_TRACE: Final = 20_000  # … and of a traceback
_EXAMINED: Final = 4  # times as much is searched for keys, so that the cut leaves no half of one
_DEEPEST: Final = 6  # levels of values within values
_WIDEST: Final = 100  # values within one
_TRACES: Final = frozenset({"exception", "stack"})
_OURS: Final = frozenset({"event", "level", "logger", "timestamp"}) | _TRACES  # names that hold nothing
_QUIET: Final = {  # each look at `/readyz` asks Alembic for the schema
    **dict.fromkeys(("aiohttp.access", "alembic", "apscheduler"), logging.WARNING),
    "aiosqlite": logging.INFO,
}


def get(name: str) -> Any:
    """Return the logger of a module."""
    return structlog.get_logger(name)


def setup(
    level: str = "info",
    format: str = "auto",  # noqa: A002 - the setting's own name
    redact: Redact | None = None,
    *,
    stream: TextIO | None = None,
) -> None:
    """Send every log line to standard error: for people on a terminal, as JSON lines elsewhere.

    `level` and `format` are the configuration's; without `redact` nothing is masked.
    """
    stream = stream or sys.stderr
    human = format == "human" or (format == "auto" and stream.isatty())
    handler = _Handler(stream)
    handler.setFormatter(_formatter(human=human, colors=stream.isatty(), redact=redact or _as_it_is))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_COMMON, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


_COMMON: Final[Sequence[Processor]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def _formatter(*, human: bool, colors: bool, redact: Redact) -> logging.Formatter:
    renderer: Processor
    if human:
        renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_COMMON,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,  # without the values of variables
            _Cleaner(redact),
            renderer,
        ],
    )


@final
class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines. One that cannot be made is told of without its arguments, which the default would print."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        kind = sys.exc_info()[0]
        name = "an error" if kind is None else kind.__name__
        sys.stderr.write(f"a log line of {record.pathname}:{record.lineno} could not be written: {name}\n")


@final
class _Cleaner:
    """The last step before an event is written: masks keys, escapes control characters, cuts what is long."""

    def __init__(self, redact: Redact) -> None:
        self._redact = redact

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        cleaned: EventDict = {}
        for name, value in event.items():
            shown = name if name in _OURS else self._text(name)
            cleaned[shown] = self._trace(value) if name in _TRACES else self._value(value)
        return cleaned

    def _value(self, value: Any, depth: int = 0) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self._text(value)
        if depth < _DEEPEST and isinstance(value, Mapping):
            some = [*value.items()][:_WIDEST]
            return {self._text(str(name)): self._value(within, depth + 1) for name, within in some}
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self._value(within, depth + 1) for within in [*value][:_WIDEST]]
        return self._text(_shown(value))

    def _text(self, text: str) -> str:
        return _escaped(_cut(self._masked(text[: _EXAMINED * _LONGEST]), _LONGEST), keep="")

    def _trace(self, value: Any) -> str:
        # Indented, so that no line of an exception's message looks like one of ours.
        text = self._masked(str(value)[: _EXAMINED * _LONGEST_TRACE])
        return "\n".join("  " + line for line in _escaped(_cut(text, _LONGEST_TRACE), keep="\n").split("\n"))

    def _masked(self, text: str) -> str:
        try:
            return self._redact(text)
        except Exception as error:  # noqa: BLE001 - what was not searched is not shown
            return f"(not shown: {type(error).__name__} while it was searched for keys)"


def _as_it_is(text: str) -> str:
    return text


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a log line must not fail over what it shows
        return f"({type(error).__name__} while it was shown)"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more)"


def _escaped(text: str, *, keep: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    get(__name__).critical("uncaught", exc_info=(kind, error, trace))
