"""Which exceptions are the user's to mend, and how they read in one line."""

from __future__ import annotations

import sys

import click

# Packages that are not dependencies of fusible itself -> the extra that brings them.
EXTRAS = {
    "gguf": "models",
    "safetensors": "models",
    "tokenizers": "models",
    "scipy": "gate",
    "pydantic": "gate",
}

# How the extension begins when FUSIBLE_ISA names what this machine does not have.
_SETTING = "instruction set: "


def sentence(error: Exception) -> str | None:
    """What to print for an error in the input, None for one that is a fault of the program."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, ModuleNotFoundError):
        return _missing(error)
    if isinstance(error, ImportError) and str(error).startswith(_SETTING):
        return str(error).replace(_SETTING, "FUSIBLE_ISA: ", 1)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    core = sys.modules.get("fusible._core")
    if core is not None and isinstance(error, core.PassError):
        return None
    ours = (ValueError, OSError) if core is None else (ValueError, OSError, core.Error)
    return "; ".join(str(error).splitlines()) if isinstance(error, ours) else None


def _missing(error: ModuleNotFoundError) -> str | None:
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return f"this needs the package {package}: pip install 'fusible[{EXTRAS[package]}]'"
