"""Does what python-dotenv's `dotenv run` does, for tests/promises/exec_peers.rs, file after file and without the program.

Takes one JSON object a line on stdin: {"file": path, "override": bool, "environment": {name: value}}.
Answers each with one line: the environment that the program would be started with, as JSON.
The very first line of its output is the version of python-dotenv.
"""

import importlib.metadata
import json
import logging
import os
import sys

from dotenv.main import DotEnv

logging.getLogger("dotenv.main").propagate = False


def answer(request):
    os.environ.clear()
    os.environ.update(request["environment"])
    # As dotenv/cli.py, `run` and `run_command`, which need the package click only to read their command line.
    override = request["override"]
    values = DotEnv(request["file"], override=override, encoding="utf-8").dict()
    environment = dict(os.environ)
    environment.update((k, v) for k, v in values.items() if v is not None and (override or k not in os.environ))
    return environment


print(importlib.metadata.version("python-dotenv"), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
