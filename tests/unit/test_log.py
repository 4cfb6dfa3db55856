import asyncio
import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from leakwatch import log

SECRET = "sk-" + "synthetic" * 3
_SECRETS = re.compile("sk-[a-z]{20,}")


def redact(text: str) -> str:
    return _SECRETS.sub("sk-…", text)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts back what `setup` changes for the whole process."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], (sys.excepthook, threading.excepthook) = handlers, hooks
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


Written = Callable[[], str]


@pytest.fixture
def written(restored: None) -> Written:
    stream = io.StringIO()
    log.setup("debug", "json", redact, stream=stream)
    return stream.getvalue


@pytest.fixture
def lines(written: Written) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(line) for line in written().splitlines()]


Lines = Callable[[], list[dict[str, Any]]]


def test_an_event_is_one_json_line_that_says_when_where_and_how_grave(lines: Lines) -> None:
    log.get("leakwatch.x").warning("poll failed", source="pastes", failures=3, again=True, mend=None)
    [line] = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "poll failed",
        "level": "warning",
        "logger": "leakwatch.x",
        "source": "pastes",
        "failures": 3,
        "again": True,
        "mend": None,
    }


def test_what_others_log_comes_out_the_same_way(lines: Lines) -> None:
    logging.getLogger("sqlalchemy.pool").error("lost %s of %d", "one", 2)
    [line] = lines()
    assert (line["event"], line["level"], line["logger"]) == ("lost one of 2", "error", "sqlalchemy.pool")


def test_warnings_come_out_the_same_way(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", UserWarning, stacklevel=1)
    [line] = lines()
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")


def test_what_chatters_is_quiet(lines: Lines) -> None:
    logging.getLogger("apscheduler.executors.default").info("ran a job")
    logging.getLogger("aiosqlite").debug("executing")
    assert lines() == []


def _without_pytest() -> None:
    """Take away the handlers by which pytest listens as well: they raise where ours must not."""
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if isinstance(handler, log._Handler)]


def _say(what: str) -> None:  # noqa: C901, PLR0912, PLR0915 - one branch for each way
    """Let a key into the log in one of many ways."""
    logger, others = log.get("x"), logging.getLogger("others")
    match what:
        case "event":
            logger.info("found " + SECRET)  # noqa: G003 - as careless code does
        case "value":
            logger.info("found", url=f"https://x.example/?key={SECRET}")
        case "name":
            logger.info("found", **{SECRET: 1})
        case "nested":
            logger.info("found", place={"deep": [{"deeper": (SECRET, {SECRET: 1})}]})
        case "object":
            logger.info("found", error=ValueError(SECRET), raw=SECRET.encode(), some={SECRET})
        case "too deep":
            logger.info("found", place=[[[[[[[[[SECRET]]]]]]]]])
        case "bound":
            logger.bind(url=SECRET).info("found")
        case "context":
            with structlog.contextvars.bound_contextvars(url=SECRET):
                logger.info("found")
        case "exception":
            try:
                _raise(SECRET)
            except ValueError:
                logger.exception("failed")
        case "cause":
            try:
                _raise_from(SECRET)
            except KeyError:
                logger.exception("failed")
        case "stack":
            exec(compile("log.get('x').info('here', stack_info=True)", SECRET, "exec"))  # noqa: S102 - a frame whose file is named so
        case "stdlib message":
            others.warning("found " + SECRET)
        case "stdlib arguments":
            others.warning("found %s and %r", SECRET, {"url": SECRET})
        case "stdlib exception":
            try:
                _raise(SECRET)
            except ValueError:
                others.exception("failed")
        case "stdlib logger":
            logging.getLogger(SECRET).warning("found")
        case "warning":
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn(SECRET, UserWarning, stacklevel=1)
        case "long":
            logger.info("found", text="x" * 1980 + " " + SECRET + "y" * 9000)
        case "uncaught":
            try:
                _raise(SECRET)
            except ValueError as error:
                sys.excepthook(type(error), error, error.__traceback__)
        case _:
            pytest.fail(what)


def _raise(secret: str) -> None:
    local = secret
    raise ValueError(f"cannot read {local}")


def _raise_from(secret: str) -> None:
    try:
        _raise(secret)
    except ValueError as error:
        raise KeyError(secret) from error


WAYS = (
    *("event", "value", "name", "nested", "object", "too deep", "bound", "context", "exception", "cause", "stack"),
    *("stdlib message", "stdlib arguments", "stdlib exception", "stdlib logger", "warning", "long", "uncaught"),
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", ["json", "human"])
def test_no_key_reaches_the_log_by_any_way(restored: None, form: Literal["json", "human"], way: str) -> None:
    stream = io.StringIO()
    log.setup("debug", form, redact, stream=stream)
    _say(way)
    assert stream.getvalue()
    assert "synthetic" not in stream.getvalue()


def test_this_test_would_see_a_key(restored: None) -> None:
    for way in WAYS:
        stream = io.StringIO()
        log.setup("debug", "json", stream=stream)
        _say(way)
        assert "synthetic" in stream.getvalue(), way


def test_an_exception_in_a_thread_is_logged_and_masked(lines: Lines, written: Written) -> None:
    thread = threading.Thread(target=_raise, args=(SECRET,))
    thread.start()
    thread.join()
    [line] = lines()
    assert line["event"] == "uncaught"
    assert "ValueError" in line["exception"]
    assert "synthetic" not in written()


async def test_what_asyncio_reports_is_logged_and_masked(lines: Lines, written: Written) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": "lost", "exception": ValueError(SECRET)})
    [line] = [line for line in lines() if line["level"] == "error"]
    assert line["logger"] == "asyncio"
    assert "ValueError" in line["exception"]
    assert "synthetic" not in written()


def test_a_line_that_cannot_be_made_does_not_show_its_arguments(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    _without_pytest()
    logging.getLogger("others").warning("%d items", SECRET)
    assert written() == ""
    told = capsys.readouterr().err
    assert "could not be written: TypeError" in told
    assert "synthetic" not in told


def test_what_cannot_be_searched_is_not_shown(restored: None) -> None:
    def broken(text: str) -> str:
        raise RuntimeError(text)

    stream = io.StringIO()
    log.setup("info", "json", broken, stream=stream)
    log.get("x").info("found", url=SECRET)
    assert json.loads(stream.getvalue())["event"] == "(not shown: RuntimeError while it was searched for keys)"
    assert "synthetic" not in stream.getvalue()


def test_an_object_that_cannot_be_shown_does_not_end_the_line(lines: Lines) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise LookupError

    _without_pytest()
    log.get("x").info("found", what=Broken())
    assert lines()[0]["what"] == "(LookupError while it was shown)"


def test_a_stranger_cannot_forge_a_line_or_drive_the_terminal(restored: None) -> None:
    hostile = "title\n2026-01-01 [critical] forged\r\x1b[2J\x9b2J\u202e\0"
    for form in ("human", "json"):
        stream = io.StringIO()
        log.setup("info", form, stream=stream)
        log.get("x").info(hostile, **{hostile: hostile})
        logging.getLogger("y").warning("%s", hostile)
        text = stream.getvalue()
        assert len(text.splitlines()) == 2
        assert all(c.isprintable() or c == "\n" for c in text)
        assert "\\n2026-01-01" in text


def test_a_traceback_keeps_its_lines_and_none_looks_like_ours(restored: None) -> None:
    stream = io.StringIO()
    log.setup("info", "human", stream=stream)
    try:
        _raise("x\n2026-01-01 [critical] forged \x1b[2J")
    except ValueError:
        log.get("x").exception("failed")
    first, *trace = stream.getvalue().splitlines()
    assert "failed" in first
    assert len(trace) > 3
    assert all(line.startswith("  ") for line in trace if line)
    assert "\x1b" not in stream.getvalue()


def test_a_traceback_shows_no_values_of_variables(lines: Lines) -> None:
    try:
        _raise("harmless")
    except ValueError:
        log.get("x").exception("failed")
    assert "local = secret" not in lines()[0]["exception"]


def test_what_is_long_is_cut(lines: Lines, written: Written) -> None:
    log.get("x").info("found", text="a" * 50_000, many=list(range(10_000)))
    [line] = lines()
    assert line["text"] == "a" * 2000 + "… (6000 more)"
    assert len(line["many"]) == 100
    assert len(written()) < 4000


@given(
    st.recursive(
        st.text() | st.integers() | st.binary() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_can_be_logged(value: object) -> None:
    cleaned = log._Cleaner(redact)(None, "info", {"event": "x", "value": value})
    assert json.loads(json.dumps(cleaned)).keys() == {"event", "value"}


def test_people_get_colours_on_a_terminal_and_json_lines_elsewhere(restored: None) -> None:
    for stream, form in ((Terminal(), "human"), (io.StringIO(), "json")):
        log.setup(stream=stream)
        log.get("x").info("hello", n=1)
        if form == "json":
            assert json.loads(stream.getvalue())["event"] == "hello"
        else:
            assert "\x1b[" in stream.getvalue()
            assert "hello" in stream.getvalue()


def test_the_level_holds_for_ours_and_for_others(restored: None) -> None:
    stream = io.StringIO()
    log.setup("warning", "json", stream=stream)
    log.get("x").info("no")
    logging.getLogger("y").info("no")
    log.get("x").warning("yes")
    logging.getLogger("y").warning("yes")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["yes", "yes"]


def test_an_interrupt_is_no_error(written: Written) -> None:
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert written() == ""
