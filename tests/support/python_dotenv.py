"""Reads .env files with python-dotenv for tests/promises/python_dotenv.rs.

Takes one JSON object a line on stdin: {"hex": the file's bytes, "override": bool, "interpolate": bool,
"environment": {name: value}}.
Answers each with one line: {"error": name of the exception}, or {"bindings": [[key, value or null], ...], "failed": [line, ...]},
the lines being those of its own warnings. The very first line of its output is the version of python-dotenv.
"""

import importlib.metadata
import io
import json
import logging
import os
import sys

from dotenv.main import DotEnv

failed = []


class Collect(logging.Handler):
    def emit(self, record):
        if not record.msg.startswith("python-dotenv could not parse statement starting at line"):
            raise SystemExit("unknown warning: " + record.msg)
        failed.append(record.args[0])


logging.getLogger("dotenv.main").addHandler(Collect())
logging.getLogger("dotenv.main").propagate = False


def answer(request):
    failed.clear()
    os.environ.clear()
    os.environ.update(request["environment"])
    # The text mode of open(), which is what python-dotenv reads files with.
    stream = io.TextIOWrapper(io.BytesIO(bytes.fromhex(request["hex"])), encoding="utf-8")
    try:
        bindings = DotEnv(None, stream=stream, interpolate=request["interpolate"], override=request["override"]).dict()
    except UnicodeDecodeError as error:
        return {"error": type(error).__name__}
    return {"bindings": list(bindings.items()), "failed": list(failed)}


print(importlib.metadata.version("python-dotenv"), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
