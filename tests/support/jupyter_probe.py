"""Asks a running Jupyter server for a kernel, and the kernel for a proof that it has certain variables, for tests/promises/jupyter.rs
and tests/promises/notebooks.rs.

Takes one JSON object on stdin: {"url": of the server, "token", "names": [variable, ...], "nonce": text}, and, if they matter, "kernel":
the name of its specification, "replace": [file, by] before the restart, "remove": a file before one more kernel is asked for. In the end a "kernel" is interrupted.
Answers with {"before": {name: proof}, "after": {name: proof}}, before and after a restart of the kernel; a proof is the HMAC-SHA256 of
the nonce under the variable's value, in hexadecimal, or null if it is not set. An interrupted kernel's answer also has "interrupted":
the name of the exception. Needs only what Jupyter itself brings.
"""

import asyncio
import json
import os
import sys
import uuid

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

DEADLINE = 50

CODE = """
import hashlib, hmac, json, os
print("PROOF" + json.dumps({{
    name: hmac.new(os.environb[name.encode()], {nonce!r}.encode(), hashlib.sha256).hexdigest() if name in os.environ else None
    for name in {names!r}
}}))
"""


SLEEP = "print('SLEEPS', flush=True)\nimport time\ntime.sleep(600)"


class Server:
    def __init__(self, url, token):
        self.url = url.rstrip("/")
        self.headers = {"Authorization": "token " + token}

    async def ask(self, method, path, body=None):
        request = HTTPRequest(self.url + path, method, self.headers, body, allow_nonstandard_methods=True, request_timeout=30)
        return json.loads((await AsyncHTTPClient().fetch(request)).body or "null")

    async def wait(self):
        while True:
            try:
                return await self.ask("GET", "/api/status")
            except (ConnectionError, OSError):
                await asyncio.sleep(0.05)


async def run(server, kernel, code, interrupt_at=None):
    """Runs code in the kernel and returns what it prints; if it prints `interrupt_at`, interrupts it and returns how it failed."""
    session = uuid.uuid4().hex
    url = server.url.replace("http", "ws", 1) + f"/api/kernels/{kernel}/channels?session_id={session}"
    socket = await websocket_connect(HTTPRequest(url, headers=server.headers))
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": session, "username": "", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    await socket.write_message(json.dumps(message))
    printed, replied, idle = "", False, False
    while not (replied and idle):
        answer = json.loads(await socket.read_message())
        if answer["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        kind, content = answer["header"]["msg_type"], answer["content"]
        if kind == "stream":
            printed += content["text"]
            if interrupt_at and interrupt_at in content["text"]:
                await server.ask("POST", f"/api/kernels/{kernel}/interrupt", "{}")
        elif kind == "error" and interrupt_at:
            printed = content["ename"]
        elif kind == "error":
            raise SystemExit("the kernel failed: " + content["ename"])
        replied |= kind == "execute_reply"
        idle |= kind == "status" and content["execution_state"] == "idle"
    socket.close()
    return printed


async def prove(request):
    server = Server(request["url"], request["token"])
    await server.wait()
    body = {"name": request["kernel"]} if "kernel" in request else {}
    kernel = (await server.ask("POST", "/api/kernels", json.dumps(body)))["id"]
    code = CODE.format(nonce=request["nonce"], names=request["names"])
    proofs = {}
    for when in ["before", "after"]:
        printed = await run(server, kernel, code)
        proofs[when] = json.loads(printed.split("PROOF", 1)[1])
        if when == "before":
            if "replace" in request:
                os.replace(request["replace"][1], request["replace"][0])
            await server.ask("POST", f"/api/kernels/{kernel}/restart", "{}")
    if "kernel" in request:
        proofs["interrupted"] = await run(server, kernel, SLEEP, interrupt_at="SLEEPS")
    if "remove" in request:
        os.remove(request["remove"])
        await server.ask("POST", "/api/kernels", json.dumps(body))
    return proofs


async def main():
    print(json.dumps(await asyncio.wait_for(prove(json.load(sys.stdin)), DEADLINE)))


asyncio.run(main())
