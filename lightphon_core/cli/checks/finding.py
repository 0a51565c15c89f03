"""What a check of `lightphon doctor` says."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


class Level(StrEnum):
    """How bad it is. A problem keeps the server from starting, or puts data or money at risk."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@frozen
class Finding:
    """One sentence on what was found, and where it is not well, one on what to do."""

    check: str
    level: Level
    what: str
    advice: str = ""


def ok(check: str, what: str) -> Finding:
    return Finding(check, Level.OK, what)


def warning(check: str, what: str, advice: str) -> Finding:
    return Finding(check, Level.WARNING, what, advice)


def problem(check: str, what: str, advice: str) -> Finding:
    return Finding(check, Level.PROBLEM, what, advice)
