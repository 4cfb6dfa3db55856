"""The JSON Schema of a definition, for editors. ``python -m leakwatch.definitions.schema`` prints it.

A definition that begins with ``#:schema URL`` is then completed and checked while it is written.
"""

import json
import sys
from typing import Any

from leakwatch.definitions.model import Definition


def schema() -> dict[str, Any]:
    """Return the schema, as pydantic makes it of the model."""
    found = Definition.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "leakwatch definition"}


def text() -> str:
    """Return it as it is kept in `docs/`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
