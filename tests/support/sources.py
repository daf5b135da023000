"""The project's own files, as the house tests see them."""

import functools
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
GENERATED = frozenset({"python/fusible/ops.py", "python/fusible/_core.pyi"})


@functools.cache
def files(*folders: str, suffixes: tuple[str, ...]) -> tuple[Path, ...]:
    """Files of the project below `folders` with one of `suffixes`, sorted."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run([*command, *folders], capture_output=True, text=True, check=True)
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return tuple(p for p in sorted(set(paths)) if p.suffix in suffixes and p.is_file())


def name(path: Path) -> str:
    """The path inside the project, for messages and test ids; of another file its own name."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


_CPP_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<tag>\w*)\(.*?\)(?P=tag)\""""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'""",
    re.DOTALL,
)


def without_comments_and_strings(cpp: str) -> str:
    """C++ with comments, text and preprocessor lines blanked; every line stays where it was."""

    def blank(match: re.Match[str]) -> str:
        # A digit separator (1'000'000) is no character literal.
        start = match.start()
        if match[0].startswith("'") and start and cpp[start - 1].isdigit():
            return match[0]
        return '""' + "\n" * match[0].count("\n")

    text = _CPP_TOKEN.sub(blank, cpp)
    return re.sub(r"(?m)^[ \t]*#(?:[^\n\\]|\\.|\\\n)*$", lambda m: "\n" * m[0].count("\n"), text)
