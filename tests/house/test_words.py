"""What no committed file says: unfinished work, dates, places on somebody's machine."""

import re

from support.sources import files, name

SUFFIXES = (
    ".cc",
    ".h",
    ".txt",
    ".py",
    ".pyi",
    ".md",
    ".toml",
    ".ir",
    ".yaml",
    "",
)
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
DATE = re.compile(r"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]\b")
# Folders that every Linux machine has may be named; others belong to one machine.
PLACE = re.compile(r"(?<![\w.}/~$<>:-])/(?!usr/|etc/|proc/|dev/|tmp/|sys/|lib)[a-z]\w*/\w[\w./-]*")
TEXT = [p for p in files(suffixes=SUFFIXES) if p.name != "LICENSE" and "corpus" not in p.parts]


def found(pattern, paths):
    return [
        f"{name(path)}:{number}: {match[0]}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in pattern.finditer(line)
    ]


def test_nothing_is_unfinished():
    assert found(UNFINISHED, TEXT) == []


def test_no_dates():
    assert found(DATE, TEXT) == []


def test_no_places_of_one_machine():
    assert found(PLACE, TEXT) == []
