"""Compiles `leakwatch/core/_fast.c`, with `compiled/`, when the package is built or installed from a checkout.

Without a C compiler or Python's headers the build goes on, and `leakwatch/core/plain.py` does the same more slowly.
"""

import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

SOURCE = "leakwatch/core/_fast.c"


class Compiled(BuildHookInterface[Any]):
    """Adds the compiled twin to a wheel; in an editable installation it lies beside its source."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Compile it, and say for which platforms the wheel is."""
        if not _compile(Path(self.root)):
            self.app.display_warning("leakwatch: not compiled, so scanning will be slow: it needs a C compiler")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"cp311-abi3-{platform}"
        build_data["pure_python"] = False
        build_data["artifacts"].append("leakwatch/core/_fast.*")


def _compile(root: Path) -> bool:
    """Compile in place; return whether that went well."""
    extension = Extension(
        "leakwatch.core._fast", [str(root / SOURCE)], py_limited_api=True, extra_compile_args=["-O3"], optional=True
    )
    command = build_ext(Distribution({"ext_modules": [extension]}))
    with tempfile.TemporaryDirectory() as temporary:
        command.build_temp, command.build_lib = temporary, str(root)
        command.ensure_finalized()
        built: Path = root / command.get_ext_filename(extension.name)
        built.unlink(missing_ok=True)  # what does not compile must not pass for what did earlier
        command.run()
    return built.exists()
