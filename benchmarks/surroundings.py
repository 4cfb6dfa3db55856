"""Where keys stand in public, and what hides them there: texts around a key, made by the hundred."""

import base64
import bz2
import gzip
import html
import json
import lzma
import quopri
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from itertools import product
from typing import Final
from urllib.parse import quote

import zstandard

Disguise = Callable[[bytes], bytes]

_QUOTES: Final = ('"', "'", "`")
_INDENTS: Final = ("", "  ", "\t", "        ")
_ENDS: Final = ("", ",", ";", ".", ")", "\\n", " # a remark", "?", "!", "|")
_LINES: Final = ("\n", "\r\n")
_ASSIGNED: Final = ("NAME=KEY", "NAME = KEY", "NAME: KEY", "NAME:KEY", "NAME => KEY", "NAME\tKEY", "export NAME=KEY")
_ONCE: Final = {
    "dotenv": "A=1\nNAME=KEY\nB=2\n",
    "dotenv of Windows": "A=1\r\nNAME=KEY\r\nB=2\r\n",
    "yaml list": "keys:\n  - KEY\n  - other\n",
    "yaml flow": "env: {A: 1, NAME: KEY, B: 2}\n",
    "json": '{"a": 1, "NAME": "KEY", "b": [2]}',
    "json, small": '{"a":1,"NAME":"KEY"}',
    "json in json": '{"body": "{\\"NAME\\": \\"KEY\\"}"}',
    "json lines in a string": '{"text": "first\\nKEY\\nlast"}',
    "toml": '[api]\nNAME = "KEY"\n',
    "ini": "[api]\nNAME=KEY\n;NAME=old\n",
    "properties": "api.NAME=KEY\n",
    "shell": "#!/bin/sh\nexport NAME='KEY'\ncurl example.org\n",
    "shell, on one line": "NAME=KEY ./run --fast\n",
    "fish": 'set -gx NAME "KEY"\n',
    "powershell": '$env:NAME = "KEY"\r\n',
    "batch": "set NAME=KEY\r\n",
    "docker": "ENV NAME=KEY\n",
    "docker run": "docker run -e NAME=KEY -p 80:80 image\n",
    "compose": "    environment:\n      - NAME=KEY\n",
    "terraform": 'variable "k" {\n  default = "KEY"\n}\n',
    "actions": "        env:\n          NAME: KEY\n",
    "curl": 'curl https://api.example.org/v1 -H "Authorization: Bearer KEY" -d @-\n',
    "curl, other header": "curl -H 'x-api-key: KEY' https://api.example.org\n",
    "curl, user": "curl -u KEY: https://api.example.org\n",
    "http": "POST /v1 HTTP/1.1\r\nAuthorization: Bearer KEY\r\nHost: example.org\r\n\r\n",
    "url": "https://example.org/v1?NAME=KEY\n",
    "url, amid": "https://example.org/v1?a=1&NAME=KEY&b=2#top\n",
    "url, path": "https://example.org/v1/KEY/models\n",
    "url, user": "https://user:KEY@example.org/\n",
    "python": 'client = Client(api_key="KEY", timeout=3)\n',
    "python, bytes": "KEY_ = b'KEY'\n",
    "python, f-string": 'print(f"key: KEY {x}")\n',
    "python, environ": 'os.environ["NAME"] = "KEY"\n',
    "python, dict": "{'NAME': 'KEY'}",
    "python, default": 'k = os.getenv("NAME", "KEY")\n',
    "python, docstring": '"""\nKEY\n"""\n',
    "javascript": "const k = 'KEY';\n",
    "javascript, template": "const h = {Authorization: `Bearer KEY`};\n",
    "javascript, small": 'a({b:1,NAME:"KEY"});c()',
    "typescript": "export const k: string = 'KEY';\n",
    "java": 'private static final String K = "KEY";\n',
    "go": "const k = `KEY`\n",
    "rust": 'let k = "KEY";\n',
    "php": "define('NAME', 'KEY');\n",
    "ruby": "NAME = 'KEY'.freeze\n",
    "c": '#define NAME "KEY"\n',
    "r": 'Sys.setenv(NAME = "KEY")\n',
    "sql": "INSERT INTO t VALUES (1, 'KEY', NULL);\n",
    "markdown": "Use `KEY` as key.\n",
    "markdown, bold": "The key is **KEY**\n",
    "markdown, table": "| name | value |\n|---|---|\n| NAME | KEY |\n",
    "markdown, link": "[key](https://example.org/?k=KEY)\n",
    "prose": "my key is KEY, please do not use it\n",
    "prose, end": "The key is KEY.\n",
    "prose, brackets": "it worked (KEY)\n",
    "chat": "<bob> KEY <- is that right?\n",
    "log": "2026-07-27T10:00:00Z INFO auth key=KEY status=401\n",
    "log, json": '{"level":"info","msg":"using KEY","n":1}\n',
    "log, quoted": "ERROR: invalid key 'KEY'.\n",
    "logfmt": 'at=info NAME="KEY" ok=false\n',
    "traceback": "AuthError: Incorrect API key provided: KEY. You can find\n",
    "diff, added": "@@ -1 +1 @@\n-NAME=old\n+NAME=KEY\n",
    "diff, removed": "-NAME=KEY\n",
    "diff, glued": "+KEY\n-KEY2\n",
    "html": "<p>key: <code>KEY</code></p>",
    "html, attribute": '<input name="NAME" value="KEY">',
    "html, script": "<script>var k='KEY';</script>",
    "xml": "<NAME>KEY</NAME>",
    "xml, cdata": "<v><![CDATA[KEY]]></v>",
    "plist": "<key>NAME</key><string>KEY</string>",
    "csv": "a,NAME,KEY,1\n",
    "csv, quoted": '"a","KEY","1"\n',
    "csv, semicolons": "a;KEY;1\n",
    "tsv": "a\tKEY\t1\n",
    "list": "KEY\nKEY\n",
    "combo list": "someone@example.org:KEY\n",
    "combo list, bars": "example.org|KEY|ok\n",
    "combo list, dashes": "NAME ---- KEY ---- 2026\n",
    "base url and key": "https://example.org/v1,KEY\n",
    "notebook": '{"cells": [{"source": ["import os\\n", "os.environ[\'NAME\'] = \'KEY\'\\n"]}]}',
    "har": '{"name": "authorization", "value": "Bearer KEY"}',
    "cookie": "Set-Cookie: t=KEY; Path=/\n",
    "latex": "\\texttt{KEY}\n",
    "brackets": "[KEY] {KEY} <KEY>",
    "alone": "KEY",
    "nul": "\0\0KEY\0\0",
    "emoji": "🔑KEY🔑",
    "other script": "ключ\uff1aKEY\u3002",
}

DISGUISES: Final[Mapping[str, Disguise]] = {
    "base64": lambda key: b"data:\n  key: " + base64.b64encode(b"TOKEN=" + key) + b"\n",
    "base64, second phase": lambda key: base64.b64encode(b"k=" + key + b"\n"),
    "base64, third phase": lambda key: base64.b64encode(b"=" + key + b";"),
    "base64 without padding": lambda key: base64.b64encode(b"-" + key).rstrip(b"="),
    "base64 for URLs": lambda key: b"?t=" + base64.urlsafe_b64encode(b"\xff\xfe\xfb" + key) + b"&x",
    "base64 in lines": lambda key: base64.encodebytes(b'{"v": "' + key + b'", "other": "' + b"x" * 100 + b'"}'),
    "base64 behind a name": lambda key: b"api_secret_value_" + base64.b64encode(b"v=" + key),
    "base64 of base64": lambda key: base64.b64encode(b"x: " + base64.b64encode(key)),
    "base64 of UTF-32": lambda key: base64.b64encode(("$k = '" + key.decode() + "'").encode("utf-32-le")),
    "base64 of UTF-16": lambda key: base64.b64encode(("$k = '" + key.decode() + "'").encode("utf-16-le")),
    "base64 of gzip": lambda key: base64.b64encode(gzip.compress(b'{"k": "' + key + b'"}')),
    "base64 of zip": lambda key: base64.b64encode(_zipped(key)),
    "a zip in a mail": lambda key: base64.encodebytes(_zipped(key)),
    "a zip in hex": lambda key: _zipped(key).hex().encode(),
    "base64 of zlib": lambda key: base64.b64encode(zlib.compress(key)),
    "base64 of bzip2": lambda key: base64.b64encode(bz2.compress(key)),
    "base64 of xz": lambda key: base64.b64encode(lzma.compress(key)),
    "base64 of zstd": lambda key: base64.b64encode(zstandard.compress(key)),
    "hex": lambda key: key.hex().encode(),
    "hex in capitals": lambda key: b"0x" + key.hex().upper().encode(),
    "list of hex": lambda key: b"{" + ", ".join(f"0x{byte:02x}" for byte in key).encode() + b"}",
    "list of numbers": lambda key: b"String.fromCharCode(" + ", ".join(map(str, key)).encode() + b")",
    "percent": lambda key: quote("a=b key=" + key.decode() + "&", safe="").encode(),
    "percent throughout": lambda key: "".join(f"%{byte:02X}" for byte in key).encode(),
    "JSON": lambda key: json.dumps({"a": f'x\n{key.decode()}\n"z"'}).encode(),
    "unicode escapes": lambda key: "".join(f"\\u{byte:04x}" for byte in key).encode(),
    "long unicode escapes": lambda key: "".join(f"\\U{byte:08x}" for byte in key).encode(),
    "braced escapes": lambda key: "".join(f"\\u{{{byte:x}}}" for byte in key).encode(),
    "hex escapes": lambda key: "".join(f"\\x{byte:02x}" for byte in key).encode(),
    "octal escapes": lambda key: "".join(f"\\{byte:03o}" for byte in key).encode(),
    "escaped hyphens": lambda key: key.replace(b"-", b"\\-").replace(b"_", b"\\_"),
    "escaped slashes": lambda key: b'{"k":"' + key.replace(b"/", b"\\/") + b'"}',
    "entities": lambda key: "".join(f"&#{byte};" for byte in key).encode(),
    "hex entities": lambda key: "".join(f"&#x{byte:X};" for byte in key).encode(),
    "named entities": lambda key: html.escape(f'a="1&key={key.decode()}"').encode().replace(b"_", b"&lowbar;"),
    "quoted-printable": lambda key: quopri.encodestring(b"Here is my key: KEY=" + key + b"\n and more"),
    "UTF-16": lambda key: ("the key " + key.decode()).encode("utf-16"),
    "UTF-16, big end first": lambda key: ("the key " + key.decode()).encode("utf-16-be"),
    "UTF-32": lambda key: ("the key " + key.decode()).encode("utf-32-le"),
    "UTF-32, big end first": lambda key: ("the key " + key.decode()).encode("utf-32-be"),
    "HTML's tags": lambda key: _joined(key, '<pre><span class="s">', '</span><span class="s2">', "</span></pre>"),
    "HTML's tags in JSON for a page": lambda key: _joined(
        key, '{"html": "\\u003cpre\\u003e', "\\u003c/span\\u003e\\u003cspan class='s'\\u003e", '\\u003c/pre\\u003e"}'
    ),
    "HTML's tags as entities": lambda key: _joined(
        key, "<summary>&lt;pre&gt;", "&lt;/span&gt;&lt;span class='s'&gt;", "&lt;/pre&gt;</summary>"
    ),
    "HTML's tags as entities of entities": lambda key: _joined(
        key, "&amp;lt;pre&amp;gt;", "&amp;lt;i&amp;gt;&amp;lt;b class='s'&amp;gt;", "&amp;lt;/pre&amp;gt;"
    ),
    "HTML's remarks": lambda key: _joined(key, "<p>", "<!-- a remark -->", "</p>"),
    "a colour": lambda key: b"export KEY=\x1b[1;31m" + key + b"\x1b[0m ok",
    "a colour of tput": lambda key: b"\x1b[31m" + key + b"\x1b(B\x1b[m",
    "a colour in JSON": lambda key: json.dumps({"log": f"\x1b[32m{key.decode()}\x1b[39m"}).encode(),
    "a colour in code": lambda key: b'echo "\\033[1m' + key + b'\\033[0m"',
    "a colour in a page": lambda key: b"&#27;[32m" + key + b"&#x1B;[0m",
    "a colour as carets": lambda key: b"^[[38;5;9m" + key + b"^[[0m",
    "a colour in syslog": lambda key: b"#033[32m" + key + b"#033[0m",
    "a colour as a picture": lambda key: "␛[32m".encode() + key + "␛[0m".encode(),
    "a colour without its first character": lambda key: b"[32m" + key + b"[0m",
    "colours amid": lambda key: _joined(key, "KEY=", "\x1b[m\x1b[K\x1b[01;31m\x1b[K", "\x1b[m\x1b[K"),
    "colours amid in JSON": lambda key: json.dumps(_joined(key, "", "\x1b[1m", "\x1b[m").decode()).encode(),
    "zero-width spaces": lambda key: _joined(key, "KEY=", "\u200b", " "),
    "variation selectors": lambda key: _joined(key, "KEY=", "\ufe0f", " "),
    "characters of no width of many kinds": lambda key: _joined(
        key, "KEY=", "\u061c\u115f\u180b\u2800\u3164\uffa0\ufff9\U000e0041\U000e0101", " "
    ),
    "soft hyphens and joiners": lambda key: _joined(key, "KEY=", "\u00ad\u200d", " "),
    "plus": lambda key: _joined(key, 'key = "', '" + "', '"'),
    "plus in JSON": lambda key: json.dumps({"c": _joined(key, 'k = "', '" + "', '"').decode()}).encode(),
    "plus over lines": lambda key: _joined(key, 'key = ("', '"\n    + "', '")'),
    "strings in a row": lambda key: _joined(key, "key = ('", "'\n       f'", "')"),
    "dot": lambda key: _joined(key, "$key = '", "' . '", "';"),
    "two dots": lambda key: _joined(key, 'key = "', '" .. "', '"'),
    "ampersand": lambda key: _joined(key, 'key = "', '" & "', '"'),
    "two bars": lambda key: _joined(key, "SELECT '", "' || '", "'"),
    "several, side by side": lambda key: (
        f'k = "%{key[:8].hex("%")}" + "{"".join(f"&#{byte};" for byte in key[8:16])}{key[16:].decode()}"'.encode()
    ),
    "two pluses": lambda key: _joined(key, 'key = "', '" ++ "', '"'),
    "angle brackets": lambda key: _joined(key, 'key = "', '" <> "', '"'),
    "shifted in": lambda key: _joined(key, 'out << "', '" << "', '";'),
    "caret": lambda key: _joined(key, 'let key = "', '" ^ "', '"'),
    "asterisk": lambda key: _joined(key, 'key = "', '" * "', '"'),
    "ampersand over lines": lambda key: _joined(key, 'key = "', '" & _\n    "', '"'),
    "strings in a row in a notebook": lambda key: _noted(_joined(key, 'key = ("', '"\n       "', '")')),
    "plus over lines in a notebook": lambda key: _noted(_joined(key, 'key = ("', '" +\n       "', '")')),
    "continued string in a notebook": lambda key: _noted(_joined(key, 'key = "', '" \\\n    "', '"')),
    "continued string": lambda key: _joined(key, 'key="', '" \\\n  "', '"'),
    "broken near its beginning": lambda key: _broken(key, 5, "\n"),
    "broken amid": lambda key: _broken(key, len(key) // 2, "\n"),
    "broken near its end": lambda key: _broken(key, len(key) - 5, "\n"),
    "broken by Windows": lambda key: _broken(key, len(key) // 2, "\r\n"),
    "broken and indented": lambda key: _broken(key, len(key) // 2, "\n        "),
    "broken in a quotation": lambda key: _broken(key, len(key) // 2, "\n> "),
    "broken in a comment": lambda key: _broken(key, len(key) // 2, "\n# "),
    "broken by a backslash": lambda key: _broken(key, len(key) // 2, "\\\n    "),
    "broken in a page": lambda key: _broken(key, len(key) // 2, "<br />\n"),
    "broken in a notebook": lambda key: _noted(_broken(key, len(key) // 2, "\n")),
    "broken in a JSON string": lambda key: _broken(key, len(key) // 2, "\\n"),
    "broken in a JSON string by Windows": lambda key: _broken(key, len(key) // 2, "\\r\\n"),
}


def surroundings() -> Iterator[tuple[str, str]]:
    """Yield each kind of surroundings with its name: a text in which KEY stands for the key, NAME for its variable."""
    yield from _ONCE.items()
    for template, quote_, indent, line in product(_ASSIGNED, (*_QUOTES, ""), _INDENTS, _LINES):
        text = line + indent + template.replace("KEY", f"{quote_}KEY{quote_}") + line
        yield repr(text), text
    for end, quote_ in product(_ENDS, (*_QUOTES, "")):
        text = f"NAME={quote_}KEY{quote_}{end}\n"
        yield repr(text), text


def _broken(key: bytes, at: int, between: str) -> bytes:
    return b"KEY=" + key[:at] + between.encode() + key[at:] + b"\nfoo"


def _zipped(key: bytes) -> bytes:
    with zipfile.ZipFile(file := BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme", b"nothing here")
        archive.writestr("conf/.env", b"TOKEN=" + key)
    return file.getvalue()


def _noted(text: bytes) -> bytes:
    """A text in a notebook, which has a string for each line."""
    cell = {"cell_type": "code", "source": text.decode().splitlines(keepends=True)}
    return json.dumps({"cells": [cell], "nbformat": 4}, indent=1).encode()


def _joined(key: bytes, before: str, between: str, after: str) -> bytes:
    third = max(1, len(key) // 3)
    parts = key[:third], key[third : 2 * third], key[2 * third :]
    return before.encode() + between.encode().join(parts) + after.encode()
