"""What a watched site looks like, as data: the TOML files in `sources/` and in the operator's own folder."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

import jmespath
import soupsieve
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from soupsieve import SelectorSyntaxError

from leakwatch.errors import DefinitionError
from leakwatch.toml import Problem, Problems, Strict, line_of, read
from leakwatch.units import Duration, RateField, Size

_PACKAGE: Final = Path(__file__).parent
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_ATTRIBUTE: Final = re.compile(r"(?P<css>.*?)(?:@(?P<attribute>[A-Za-z_:][\w:.-]*))?", re.DOTALL)
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS: Final = frozenset({"accept-encoding", "connection", "content-length", "cookie", "host", "te", "user-agent"})
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")

Kind = Literal["html", "json", "feed"]

_Wrong = tuple[tuple[str | int, ...], str]
"""The path of a setting, and what is wrong with it."""


class OverrideError(DefinitionError):
    """The configuration's override does not fit the definition that it lies over."""

    def __init__(self, path: Path, wrong: Sequence[_Wrong]) -> None:
        said = "; ".join(f"{'.'.join(map(str, where))}: {what}" for where, what in wrong)
        super().__init__(f"the override of {path.stem} does not fit it: {said}", mend=f"compare it with {path}")
        self.wrong = tuple(wrong)


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name):
        message = "a header's name is made of letters, digits and -"
        raise ValueError(message)
    if name.lower() in _OURS:
        message = "this header is leakwatch's own"
        raise ValueError(message)
    return name


def _header_value(value: str) -> str:
    if not value.isprintable():
        message = "a header is one line of printable characters"
        raise ValueError(message)
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        message = 'write a host as "raw.example.org" or "raw.example.org:8080"'
        raise ValueError(message)
    _ = urlsplit(f"//{value}").port  # raises ValueError for one that is none
    return value.lower()


def _site(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        message = "write a web address: https://host/path"
        raise ValueError(message)
    _ = parts.port  # raises ValueError for one that is none
    return value


class Listing(Strict):
    """Where new documents are announced, and where one announcement ends and the next begins."""

    url: str  # template: {base_url}
    items: str = ""  # html: CSS selector; json: JMESPath to a list; feed: not used
    may_be_empty: bool = False  # false: nothing found is an error, never a quiet day
    conditional: bool = True  # false: what the site calls "not modified" cannot be believed, so it is never asked


class Fields(Strict):
    """Where in an item each fact stands.

    html: a CSS selector, with ``@name`` at its end for an attribute, ``.`` for the item itself; json:
    JMESPath; feed: a child of the entry by name (``link``, ``dc:creator``, …), with defaults that fit RSS and
    Atom.
    """

    id: str = ""
    version: str = ""
    url: str = ""  # made absolute against the listing's address
    title: str = ""
    author: str = ""
    path: str = ""
    published_at: str = ""
    text: str = ""  # the document itself, where the listing carries it whole

    def named(self) -> dict[str, str]:
        """Return the facts that the definition says where to find."""
        return {name: where for name, where in self if where}


class DocumentPlace(Strict):
    """Where a document's text is fetched and where a person looks at it.

    Templates of {base_url} and the fields. A field's value is quoted for a path; {url} is an address already.
    """

    url: str = ""  # "": the field `url`
    page: str = ""  # "": the same as `url`


class Expected(Strict):
    """What a sample must yield for one document; facts that are not named are not compared."""

    id: str | None = None
    version: str | None = None
    url: str | None = None
    page: str | None = None
    title: str | None = None
    author: str | None = None
    path: str | None = None
    published_at: str | None = None  # ISO 8601
    text: str | None = None


class Sample(Strict):
    """A listing as it was seen or as documents say it looks, and the documents that it must yield."""

    origin: Literal["recorded", "constructed"]
    source: Annotated[str, Field(min_length=1)]  # from what, and when
    base_url: Annotated[str, AfterValidator(_site)] = "https://site.example"
    body: str
    expect: list[Expected]


class Definition(Strict):
    """One kind of site."""

    name: str
    title: str  # what a person calls it
    kind: Kind
    base_url: Annotated[str, AfterValidator(_site)] = ""  # "": the configuration says which instance
    verified: str = ""  # what it was really run against, and when; "": nothing
    notes: str = ""  # terms, permissions, oddities
    every: Duration = 60.0
    rate: RateField | None = None  # None, as the next two: the configuration's
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = None
    max_bytes: Size | None = None
    hosts: list[Annotated[str, AfterValidator(_host)]] = []  # where documents may be fetched as well
    headers: dict[Annotated[str, AfterValidator(_header)], Annotated[str, AfterValidator(_header_value)]] = {}
    listing: Listing
    fields: Fields = Fields()
    cut: Fields = Fields()  # for a fact: a regular expression whose one group is what is kept of it
    document: DocumentPlace = DocumentPlace()
    samples: Annotated[list[Sample], Field(alias="sample", min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if wrong := [*self._incomplete(), *self._unreadable(), *self._uncut(), *self._unknown()]:
            details = [InitErrorDetails(type=_error(what), loc=where, input=None) for where, what in wrong]
            raise ValidationError.from_exception_data("Definition", details)
        return self

    def _incomplete(self) -> Iterator[_Wrong]:
        if self.kind == "feed":
            return
        if not self.listing.items:
            yield ("listing", "items"), f"is missing: a {self.kind} listing needs to know where its items are"
        if not (self.fields.id or self.fields.url):
            yield ("fields",), "id or url is missing: a document needs an identity"
        if not (self.document.url or self.fields.url or self.fields.text):
            yield (
                ("document",),
                "url is missing: say where the text is fetched, or fields.text where the item carries it",
            )

    def _unreadable(self) -> Iterator[_Wrong]:
        if self.kind == "feed":
            return
        understood = _understood_css if self.kind == "html" else _understood_jmespath
        selectors = {("fields", name): where for name, where in self.fields.named().items()}
        if self.listing.items:
            selectors["listing", "items"] = self.listing.items
        for where, selector in selectors.items():
            if why := understood(selector):
                yield where, why

    def _uncut(self) -> Iterator[_Wrong]:
        for name, pattern in self.cut.named().items():
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                yield ("cut", name), f"is not a regular expression: {error}"
            else:
                if groups != 1:
                    yield ("cut", name), "needs one group: (…) around what is kept"

    def _unknown(self) -> Iterator[_Wrong]:
        known = {"base_url", *Fields.model_fields} - {"text"}
        for table, name in (("listing", "url"), ("document", "url"), ("document", "page")):
            allowed = {"base_url"} if table == "listing" else known
            for placeholder in placeholders(getattr(getattr(self, table), name)):
                if placeholder not in allowed:
                    yield (
                        (table, name),
                        f"{{{placeholder}}} is not known here: use {', '.join(sorted(allowed))}",
                    )


def _error(what: str) -> PydanticCustomError:
    return PydanticCustomError("definition", "{what}", {"what": what})


def _understood_css(selector: str) -> str:
    css, _ = split_attribute(selector)
    try:
        if css not in ("", "."):
            soupsieve.compile(css)
    except (SelectorSyntaxError, NotImplementedError) as error:  # the latter for ::pseudo-elements and @rules
        return f"is not a CSS selector: {str(error).splitlines()[0]}"
    return ""


def _understood_jmespath(expression: str) -> str:
    try:
        jmespath.compile(expression)
    except JMESPathError as error:
        return f"is not JMESPath: {str(error).splitlines()[0]}"
    return ""


def split_attribute(selector: str) -> tuple[str, str]:
    """Split ``css@attribute`` into its two parts; the attribute is "" when the element's text is meant."""
    match = _ATTRIBUTE.fullmatch(selector)
    return (match["css"].strip(), match["attribute"] or "") if match else (selector, "")


def placeholders(template: str) -> list[str]:
    """Return the names that a template wants filled."""
    return _PLACEHOLDER.findall(template)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values into a template's placeholders; unknown ones become nothing.

    The template is ours, the values are a stranger's: so this is no format language.
    """
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), template)


def shipped() -> Path:
    """Return the folder of the definitions that come with leakwatch, installed or in a checkout."""
    inside = _PACKAGE / "sources"
    return inside if inside.is_dir() else _PACKAGE.parent / "sources"


def find(name: str, own: Path) -> Path:
    """Return the file that defines a name; the operator's own folder goes first. Raises DefinitionError."""
    for folder in (own, shipped()):
        path = folder / f"{name}.toml"
        if path.is_file():
            return path
    known = ", ".join(sorted({p.stem for p in available(own)}))
    message = f"no definition is named {name}"
    raise DefinitionError(message, mend=f"put {name}.toml into {own}, or use one of: {known}")


def available(own: Path) -> Iterator[Path]:
    """Yield every definition's file: the operator's own, then those that come with leakwatch."""
    for folder in (own, shipped()):
        if folder.is_dir():
            yield from sorted(folder.glob("*.toml"))


def load(path: Path, override: Mapping[str, Any] | None = None) -> Definition:
    """Read one definition, with the configuration's overrides laid over it.

    Raises Problems for the file, OverrideError for an override that does not fit it.
    """
    definition = read(path, Definition)
    if definition.name != path.stem:
        line = line_of(path.read_text(encoding="utf-8"), ("name",))
        what = f"the name is {definition.name} in a file called {path.name}"
        raise Problems([Problem(file=str(path), line=line, what=what, mend="give both the same name")])
    if not override:
        return definition
    merged = _merge(tomllib.loads(path.read_text(encoding="utf-8")), override)
    try:
        return Definition.model_validate(merged)
    except ValidationError as error:
        raise OverrideError(path, [(detail["loc"], detail["msg"]) for detail in error.errors()]) from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        deep = isinstance(value, Mapping) and isinstance(below.get(name), Mapping)
        merged[name] = _merge(below[name], value) if deep else value
    return merged
