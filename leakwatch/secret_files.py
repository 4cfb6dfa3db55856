"""Secrets lie in files that the configuration names, and never in it: where such a file is, and what it holds."""

import os
import re
from pathlib import Path
from typing import Final

from leakwatch.errors import SecretError

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand(text: str, *, credentials: Path | None = None) -> str:
    """Replace ``${NAME}`` by the environment's value. Raises SecretError where there is none.

    Outside of the unit nobody sets CREDENTIALS_DIRECTORY: then it is `credentials`, if that folder exists.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found and match[1] == "CREDENTIALS_DIRECTORY" and credentials is not None and credentials.is_dir():
            return str(credentials)
        if not found:
            message = f"{match[0]} is not set"
            mend = "systemd sets CREDENTIALS_DIRECTORY; else set it, or make `credentials` beside the configuration"
            raise SecretError(message, mend=mend)
        return found

    return _VARIABLE.sub(value, text)


def read_secret(name: str, path: Path) -> str:
    """Return what a secret's file holds, without white space around it. Raises SecretError, which tells none of it."""
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        message = f"the {name} in {path} cannot be read: {why}"
        raise SecretError(message, mend="check the path and who may read it") from error
    if not value:
        message = f"the {name} in {path} is empty"
        raise SecretError(message, mend="write it there, on one line; under systemd into the file of LoadCredential=")
    return value
