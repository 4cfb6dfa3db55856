"""One git on its leash: what happens when there is none, when its time is over, and when it says too much."""

from pathlib import Path

import pytest

from leakwatch.errors import BadContent, ServerFault, TimedOut, TooLarge, Unreachable
from leakwatch.fetch import Session
from leakwatch.git import objects
from leakwatch.git.leash import Leash
from leakwatch.git.objects import Missing, Named
from leakwatch.git.place import judged
from tests.integration.git.host import Host
from tests.integration.git.test_git import opened, texts, watched


def leash(folder: Path, **how: float) -> Leash:
    return Leash(folder / "home", agent="test", seconds=how.get("seconds", 60.0), most_bytes=10**7, where="site: host")


def test_without_git_a_source_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with leash(tmp_path) as held, pytest.raises(Unreachable, match="git is not installed"):
        held.read("version", most=100)


def test_what_is_over_begins_nothing_and_what_says_too_much_is_cut(tmp_path: Path) -> None:
    with leash(tmp_path) as held:
        assert held.read("version", most=100).startswith(b"git version")
        with pytest.raises(TooLarge):
            held.read("version", most=3)
        with pytest.raises(ServerFault, match="a reason that is not known here"):
            held.read("no-such-command", most=100)
        held.kill()
        with pytest.raises(TimedOut, match="did not finish within 60 s"):
            held.read("version", most=100)


def test_a_reading_that_is_killed_in_its_middle_is_told(host: Host, tmp_path: Path) -> None:
    tools = host.create("tools")
    commit = tools.commit({f"{n}.txt": str(n) * 50_000 for n in range(40)})
    tools.push()
    with leash(tmp_path) as held:
        found = objects.walking(held, tools.bare, [commit], folders=(), there={}, cap=10**6, missing=Missing())
        next(found)
        held.kill()
        with pytest.raises(TimedOut):
            list(found)


def test_a_tag_brings_nothing_and_an_odd_header_is_a_bug(host: Host, tmp_path: Path) -> None:
    tools = host.create("tools")
    tools.commit({"a": "x"})
    with leash(tmp_path) as held:
        assert objects.origin(held, tools.bare, Named(oid="1" * 40, kind="tag")) is None
    with pytest.raises(BadContent, match="a bug in leakwatch"):
        objects._header(b"what is this\n")
    assert objects._moment("yesterday") is None


async def test_many_packs_are_made_one(host: Host, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakwatch.git.mirror._MOST_PACKS", 2)
    tools = host.create("tools")
    at = watched(tools)
    for number in range(4):
        tools.commit({f"{number}.txt": f"text {number}"})
        tools.push()
        found = await opened(session, at)
        assert (await texts(session, at, found))[f"{number}.txt"] == f"text {number}"
    packs = list(session.git.mirrors.folder.glob("*/repository/objects/pack/*.pack"))
    assert len(packs) <= 3


async def test_a_name_without_an_address_is_told() -> None:
    with pytest.raises(Unreachable, match="has no address"):
        await judged("http://nowhere.invalid/x.git", allowed=(), name="site")
    with pytest.raises(BadContent):
        await judged("http://host:99999999/x.git", allowed=(), name="site")
