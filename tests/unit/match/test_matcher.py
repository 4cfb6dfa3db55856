import hashlib
from collections.abc import Collection, Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from leakwatch.match import Digester, Found, match, parse_digest
from leakwatch.match.schemes import digest_text
from leakwatch.model import Candidate, Field, Match, Plaintext, Position, Reference, RegisteredKey
from leakwatch.pepper import Pepper

PEPPER = Pepper(b"p" * 32)
DIGESTER = Digester(PEPPER)
TOP = Position(field=Field.TEXT, line=1, column=1)


def _key(number: int, customer: int = 1) -> RegisteredKey:
    return RegisteredKey(id=number, customer_id=customer, provider="acme", label=f"key {number}", key_id="")


def _candidate(text: str, position: Position = TOP, detector: str = "acme") -> Candidate:
    return Candidate(detector=detector, plaintext=Plaintext(text), masked="ak-…", position=position)


def _document(name: str, version: str = "") -> Reference:
    return Reference(url=f"https://paste.example/{name}", id=name, version=version)


class Registry:
    """A lookup that knows some keys, and what it was asked."""

    def __init__(self, keys: Mapping[str, Sequence[RegisteredKey]]) -> None:
        self.keys = {DIGESTER.digest(Plaintext(text))[0]: owners for text, owners in keys.items()}
        self.asked: list[Collection[bytes]] = []

    async def __call__(self, digests: Collection[bytes]) -> Mapping[bytes, Sequence[RegisteredKey]]:
        self.asked.append(digests)
        return {d: self.keys[d] for d in digests if d in self.keys}


def test_a_candidate_and_its_owners_digest_are_stored_alike() -> None:
    _, digest = parse_digest(digest_text("ak-one\n"))
    assert DIGESTER.digest(Plaintext("ak-one")) == (DIGESTER.stored(digest),)
    assert DIGESTER.stored(digest) == PEPPER.hmac(hashlib.sha256(b"ak-one").digest())


def test_another_pepper_makes_another_digest() -> None:
    other = Digester(Pepper(b"q" * 32), ["sha256"])
    assert other.digest(Plaintext("ak-one")) != DIGESTER.digest(Plaintext("ak-one"))


async def test_what_nobody_can_register_has_no_digest() -> None:
    found = DIGESTER.found(_document("a"), _candidate("two words"))
    assert found.digests == ()
    registry = Registry({})
    assert await match([found], registry) == []
    assert registry.asked == []


async def test_a_match_says_whose_key_stands_where() -> None:
    key, place = _key(7), Position(field=Field.TEXT, line=3, column=9)
    registry = Registry({"ak-one": [key]})
    found = [DIGESTER.found(_document("a"), _candidate(text, place)) for text in ("ak-one", "ak-two")]
    assert await match(found, registry) == [
        Match(key=key, reference=_document("a"), detector="acme", masked="ak-…", position=place)
    ]
    [asked] = registry.asked
    assert set(asked) == {digest for f in found for digest in f.digests}
    assert "ak-one" not in repr(found)


async def test_every_owner_of_a_key_is_matched() -> None:
    registry = Registry({"ak-one": [_key(1, customer=1), _key(2, customer=2)]})
    matches = await match([DIGESTER.found(_document("a"), _candidate("ak-one"))], registry)
    assert [m.key.customer_id for m in matches] == [1, 2]


async def test_each_document_and_version_is_matched() -> None:
    registry = Registry({"ak-one": [_key(1)]})
    documents = [_document("a"), _document("a", "2"), _document("b")]
    matches = await match([DIGESTER.found(d, _candidate("ak-one")) for d in documents], registry)
    assert [m.reference for m in matches] == documents


async def test_a_document_is_looked_up_under_every_scheme() -> None:
    both = Found(reference=_document("a"), digests=(b"1", b"2"), detector="acme", masked="", position=TOP)

    async def lookup(_: Collection[bytes]) -> Mapping[bytes, Sequence[RegisteredKey]]:
        return {b"1": [_key(1)], b"2": [_key(1), _key(2)]}

    assert [m.key.id for m in await match([both], lookup)] == [1, 2]


@given(
    st.lists(
        st.builds(Position, field=st.sampled_from(Field), line=st.integers(1, 9), column=st.integers(1, 9)), min_size=1
    )
)
async def test_the_first_place_in_a_document_is_told(places: list[Position]) -> None:
    registry = Registry({"ak-one": [_key(1)]})
    [found] = await match([DIGESTER.found(_document("a"), _candidate("ak-one", p)) for p in places], registry)
    order = list(Field)
    assert found.position == min(places, key=lambda p: (order.index(p.field), p.line, p.column))


async def test_of_two_names_at_one_place_the_scanners_first_holds() -> None:
    registry = Registry({"ak-one": [_key(1)]})
    found = [DIGESTER.found(_document("a"), _candidate("ak-one", detector=d)) for d in ("best", "generic")]
    assert [m.detector for m in await match(found, registry)] == ["best"]


async def test_nothing_found_asks_nothing() -> None:
    registry = Registry({})
    assert await match([], registry) == []
    assert registry.asked == []
