"""The curl lines of the pages, taken apart."""

import shlex
from string import Template

import pytest


@pytest.fixture(scope="session")
def request_of():
    """`request_of(line, values)`: method, URL, headers and body of a curl command, with its variables filled in."""
    return _request_of


def _request_of(line, values):
    words = shlex.split(Template(line).substitute(values))
    assert words.pop(0) == "curl"
    url, method, headers, body = words.pop(0), None, {}, None
    while words:
        match words.pop(0), words.pop(0):
            case "-X", method:
                pass
            case "-H", header:
                headers.update([header.split(": ")])
            case "-d", body:
                pass
    return method or ("GET" if body is None else "POST"), url, headers, body
