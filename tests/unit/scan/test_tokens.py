"""Every run that could be a whole key, and how it is cut; what the sieve is asked, and what it is not asked again."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.scan import tokens as module
from leakwatch.scan.disguises import SHORTEST
from leakwatch.scan.synthetic import ALPHABETS, fill
from leakwatch.scan.tokens import LONGEST, Tokens, tokens
from tests.unit.match.making import kept, sieve_of

UNHURRIED = settings(deadline=None)
HEX = fill("{hex:32}", Random(1))
UUID = fill("{uuid:4}", Random(2))
ALNUM = fill("{alnum:40}", Random(3))
# A key for each set of characters that one may hold beside letters and digits.
KEPT = {
    "none": ALNUM,
    "_": fill("ab_{alnum:12}_{alnum:12}", Random(4)),
    "-": UUID,
    "_-": fill("{alnum:9}-{alnum:9}_{alnum:9}", Random(5)),
    "_.-": fill("{alnum:12}.{alnum:9}-_{alnum:9}.{alnum:20}", Random(6)),
    "_.~-": fill("{alnum:3}8Q~{alnum:12}-_.{alnum:12}", Random(7)),
    "/+": fill("{alnum:12}/{alnum:12}+{alnum:12}", Random(8)),
    "+": fill("{alnum:12}+{alnum:12}", Random(9)),
    "_.-~:": fill("{alnum:8}-_.~:{alnum:16}", Random(10)),
    "_.-/+~": fill("{alnum:8}-_.~/+{alnum:16}", Random(11)),
}
AROUND = [
    ("", ""),
    ("key=", ""),
    ("", "=="),
    ("a:", ":b"),
    ("https://example.org/", "/models"),
    ("--", "--"),
    ("name.", "."),
    ("~", "/"),
]
WHOLE = {"_.-~:", "_.-/+~", "/+"}  # what these hold also parts keys in a path, or a pair


@pytest.mark.parametrize("key", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("quote", ['"', " ", "`", ",", "(", "\0", "é"])
def test_a_run_ends_at_what_no_key_holds(key: str, quote: str) -> None:
    assert key in found(f"{quote}{key}{quote}", key)


@pytest.mark.parametrize(("before", "after"), AROUND)
@pytest.mark.parametrize("kept", [kept for kept in KEPT if kept not in WHOLE])
def test_a_key_is_cut_out_of_its_run(kept: str, before: str, after: str) -> None:
    glued = {*(before[-1:] + after[:1])} & {*kept} and (before.strip("-~.") or after.strip("-~./"))
    if not glued:
        assert KEPT[kept].encode() in tokens(f"{before}{KEPT[kept]}{after}".encode())


@pytest.mark.parametrize("padding", ["=", "=="])
def test_padding_may_be_part_of_a_key(padding: str) -> None:
    key = KEPT["/+"] + padding
    for run in (key, f"KEY={key}", f"{key}/", f"-{key}", f"name:{key}"):
        assert {key.encode(), KEPT["/+"].encode()} <= tokens(run.encode()), run


def test_a_pair_is_whole_and_each_of_its_parts() -> None:
    parts = [fill("{alnum:20}", Random(n)) for n in range(3)]
    cut = tokens(":".join(parts).encode())
    assert {":".join(parts[i:j]).encode() for i in range(3) for j in range(i + 1, 4)} <= cut


def test_a_list_of_many_between_colons_is_no_pair() -> None:
    parts = [fill("{alnum:20}", Random(n)) for n in range(9)]
    cut = tokens(":".join(parts).encode())
    assert {part.encode() for part in parts} <= cut
    assert ":".join(parts[:2]).encode() not in cut


def test_the_longest_run_is_looked_at_and_a_longer_one_is_not() -> None:
    assert tokens(b"a" * LONGEST) == {b"a" * LONGEST}
    assert tokens(b"a" * (LONGEST + 1)) == set()


@UNHURRIED
@given(st.text(ALPHABETS["alnum"] + "_.:~/+=-", min_size=SHORTEST, max_size=200))
def test_every_token_is_part_of_its_run_and_their_number_is_bounded(run: str) -> None:
    cut = tokens(run.encode())
    assert all(token in run.encode() and len(token) >= SHORTEST for token in cut)
    assert len(cut) <= 3 * len(run) + 60
    assert run.encode() in cut


@pytest.mark.parametrize("letter", "nrt")
def test_the_letter_of_an_escape_is_no_part_of_the_run(letter: str) -> None:
    assert ALNUM in found(f"first\\{letter}{ALNUM}", ALNUM)


def test_a_letter_or_digit_that_is_glued_hides_a_key() -> None:
    """What the finder cannot see: docs/formats.md."""
    assert not found(f"x{HEX}", HEX)
    assert not found(f"{HEX}1", HEX)


def test_a_key_of_fewer_characters_is_not_seen() -> None:
    short = fill("{alnum:15}", Random(1))
    assert not found(short, short)


def test_where_a_token_stands_is_told() -> None:
    finder = Tokens(sieve_of(HEX), 10)
    assert [*finder.find(f'"id": "{UUID}", "k": "name={HEX}"'.encode())] == [(57, HEX.encode())]


def test_without_a_sieve_nothing_is_found() -> None:
    assert not [*Tokens(None, 10).find(HEX.encode())]


def test_runs_beyond_the_room_are_counted() -> None:
    finder = Tokens(sieve_of(HEX), 2)
    runs = [fill("{hex:32}", Random(seed)) for seed in range(10, 15)]
    assert not [*finder.find(" ".join([*runs, HEX]).encode())]
    assert finder.skipped == 4


def test_a_run_in_which_there_was_nothing_is_not_looked_at_again() -> None:
    sieve = sieve_of(UUID)
    for room in (1, 0):
        finder = Tokens(sieve, room)
        assert not [*finder.find(HEX.encode())]
        assert not finder.skipped
    assert [token for _, token in Tokens(sieve, 1).find(UUID.encode())] == [UUID.encode()]
    assert [token for _, token in Tokens(sieve, 1).find(UUID.encode())] == [UUID.encode()], "what matched is not seen"


def test_what_is_registered_later_is_found_in_a_run_that_was_seen_before() -> None:
    sieve = sieve_of(UUID)
    assert not [*Tokens(sieve, 1).find(HEX.encode())]
    sieve.fill(kept(HEX))
    assert [token for _, token in Tokens(sieve, 1).find(HEX.encode())] == [HEX.encode()]


def test_what_is_registered_amid_a_scan_is_not_thought_seen() -> None:
    sieve = sieve_of(UUID)
    going_on = Tokens(sieve, 9).find(f"{UUID} {HEX}".encode())
    next(going_on)
    sieve.fill(kept(ALNUM))
    assert not [*going_on]
    assert sieve.seen == set()


def test_no_more_runs_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 1)
    sieve = sieve_of(UUID)
    assert not [*Tokens(sieve, 9).find(f"{HEX} {ALNUM}".encode())]
    assert len(sieve.seen) == 1


def found(text: str, key: str) -> list[str]:
    """What is found in a text by a sieve that knows one key."""
    return [token.decode() for _, token in Tokens(sieve_of(key), 100).find(text.encode())]
