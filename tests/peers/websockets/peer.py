"""Both ends of WebSockets by the package `websockets`, with a gateway between them.

    peer.py {}

It says {"port": ...} of its server; is told where the gateway is:
    {"url": "wss://localhost:443/private/socket", "ca": "cert.pem", "cookie": ..., "origin": ..., "upstream": ...}
and says one line for each case: {"case": ..., "error": null or what went wrong}, then {"done": count}.
"""

import asyncio
import hashlib
import json
import os
import ssl
import sys
import traceback

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

MIB = 1024 * 1024
PATIENCE = 45  # less than whoever reads what this says
CASES = []
# What the server has seen, by the path of the socket; and what it is told to do there.
SEEN = {}
ENDED = {}
GATES = {}


def case(act):
    CASES.append(act)
    return act


async def server(socket):
    """Does what the path says."""
    path = socket.request.path
    doing, name = path.split("?")[0].split("/")[-2:]
    seen = SEEN.setdefault(name, {"headers": headers(socket.request), "messages": []})
    try:
        if doing == "echo":
            async for message in socket:
                await socket.send(message)
        elif doing == "fragments":
            while True:
                parts = [part async for part in socket.recv_streaming()]
                seen["messages"].append(parts)
                await socket.send(parts)  # as many frames
        elif doing == "pings":
            waits = await socket.ping(b"from the server")
            await asyncio.wait_for(waits, PATIENCE)
            await socket.send("a pong came")
            await socket.wait_closed()
        elif doing == "close":
            code = int(await socket.recv())
            await socket.close(code, "as told")
        elif doing == "slow":
            first = await socket.recv()
            await GATES.setdefault(name, asyncio.Event()).wait()
            total = len(first)
            async for message in socket:
                total += len(message)
                if total >= 64 * MIB:
                    break
            await socket.send(str(total))
            await socket.wait_closed()
        elif doing == "flood":
            # Sends for as long as somebody reads.
            number = 0
            while number < 64:
                await socket.send(bytes([number]) * MIB)
                number += 1
                seen["sent"] = number
            await socket.wait_closed()
        elif doing == "drop":
            await socket.recv()
            socket.transport.abort()
        else:
            await socket.wait_closed()
    except ConnectionClosed:
        pass
    finally:
        ENDED[name] = socket.close_code
        seen["close"] = (socket.close_code, socket.close_reason)


def headers(request):
    return {key.lower(): value for key, value in request.headers.raw_items()}


class World:
    def __init__(self, told):
        self.told = told
        self.tls = ssl.create_default_context(cafile=told["ca"])
        self.number = 0

    def name(self):
        self.number += 1
        return f"socket{self.number}"

    def connect(self, doing, name, **more):
        more.setdefault("compression", None)
        more.setdefault("max_size", 64 * MIB)
        more.setdefault("ping_interval", None)
        headers = {"Cookie": self.told["cookie"], **more.pop("headers", {})}
        url = f"{self.told['url']}/{doing}/{name}"
        return connect(url, ssl=self.tls, origin=self.told["origin"], additional_headers=headers, proxy=None, **more)


async def until(holds, what):
    for _ in range(PATIENCE * 100):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what)


async def stalls(count):
    """Waits until a count moves no more."""
    seen, still = count(), 0
    while still < 20:
        await asyncio.sleep(0.05)
        still = still + 1 if count() == seen else 0
        seen = count()
    return seen


def same(found, wanted):
    assert found == wanted, f"{str(found)[:300]} is not {str(wanted)[:300]}"


@case
async def texts_and_bytes_of_every_length(world):
    async with world.connect("echo", world.name()) as socket:
        for length in [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 300_000]:
            for message in ["ä" * length, os.urandom(length)]:
                await socket.send(message)
                same(await socket.recv(), message)


@case
async def many_small_messages_in_order(world):
    async with world.connect("echo", world.name()) as socket:
        messages = [f"message {number}" for number in range(3000)]

        async def send():
            for message in messages:
                await socket.send(message)

        sending = asyncio.create_task(send())
        for message in messages:
            same(await socket.recv(), message)
        await sending


@case
async def sixteen_mebibytes_in_one_message(world):
    async with world.connect("echo", world.name()) as socket:
        message = os.urandom(16 * MIB)
        await socket.send(message)
        back = await socket.recv()
        same(hashlib.sha256(back).hexdigest(), hashlib.sha256(message).hexdigest())


@case
async def fragments_stay_fragments(world):
    name = world.name()
    async with world.connect("fragments", name) as socket:
        for parts in [["one", "two", "three"], [b"a", b"", b"b"], ["ä"], [os.urandom(70_000)] * 5]:
            await socket.send(parts)
            # The package ends such a message by a frame of nothing: once at either end.
            same([part async for part in socket.recv_streaming()], parts + [parts[0][:0]] * 2)
    same([len(parts) for parts in SEEN[name]["messages"]], [4, 4, 2, 6])


@case
async def pings_and_pongs_go_both_ways(world):
    async with world.connect("pings", world.name()) as socket:
        same(await socket.recv(), "a pong came")
        for payload in [b"", b"x" * 125]:
            waits = await socket.ping(payload)
            await asyncio.wait_for(waits, PATIENCE)
        await socket.pong(b"unasked")


@case
async def a_ping_within_a_fragmented_message(world):
    name = world.name()
    async with world.connect("fragments", name) as socket:
        gate = asyncio.Event()

        async def parts():
            yield "before"
            await gate.wait()
            yield "after"

        sending = asyncio.create_task(socket.send(parts()))
        waits = await socket.ping(b"between")
        await asyncio.wait_for(waits, PATIENCE)
        gate.set()
        await sending
        same("".join([part async for part in socket.recv_streaming()]), "beforeafter")


@case
async def codes_and_reasons_of_the_client_arrive(world):
    for code, reason in [(1000, ""), (1000, "done"), (1001, "going"), (3000, "x" * 123), (4999, "ä")]:
        name = world.name()
        socket = await world.connect("echo", name)
        await socket.close(code, reason)
        same((socket.close_code, socket.close_reason), (code, reason))
        await until(lambda: "close" in SEEN[name], "the server sees the end")
        same(SEEN[name]["close"], (code, reason))


@case
async def codes_and_reasons_of_the_server_arrive(world):
    for code in [1000, 1001, 1003, 1008, 1011, 3000, 4999]:
        async with world.connect("close", world.name()) as socket:
            await socket.send(str(code))
            await socket.wait_closed()
            same((socket.close_code, socket.close_reason), (code, "as told"))


@case
async def an_end_without_a_word_is_one_on_the_other_side(world):
    async with world.connect("drop", world.name()) as socket:
        await socket.send("now")
        await socket.wait_closed()
        same(socket.close_code, 1006)
    name = world.name()
    socket = await world.connect("echo", name)
    await socket.send("hello")
    await socket.recv()
    socket.transport.abort()
    await until(lambda: name in ENDED, "the server sees the end")
    same(ENDED[name], 1006)


@case
async def one_side_that_says_no_more_ends_both(world):
    """A tunnel is closed as a whole: WebSockets have no half-closed state (RFC 6455, section 7.1.1)."""
    name = world.name()
    socket = await world.connect("echo", name)
    await socket.send("hello")
    same(await socket.recv(), "hello")
    socket.transport.close()  # the end of TLS, without a close frame
    await until(lambda: name in ENDED, "the server sees the end")
    same(ENDED[name], 1006)


@case
async def extensions_are_agreed_on_by_both_ends_alone(world):
    name = world.name()
    async with world.connect("echo", name, compression="deflate") as socket:
        same([extension.name for extension in socket.protocol.extensions], ["permessage-deflate"])
        for message in ["again and again, " * 10_000, os.urandom(100_000), ""]:
            await socket.send(message)
            same(await socket.recv(), message)
    same("permessage-deflate" in SEEN[name]["headers"]["sec-websocket-extensions"], True)
    async with world.connect("echo", world.name()) as socket:
        same(socket.protocol.extensions, [])


@case
async def subprotocols_are_agreed_on_by_both_ends_alone(world):
    for offered, chosen in [(["chat.v2", "chat.v1"], "chat.v2"), (["chat.v1", "other"], "chat.v1"), (None, None)]:
        async with world.connect("echo", world.name(), subprotocols=offered) as socket:
            same(socket.subprotocol, chosen)


@case
async def what_is_no_utf8_passes_to_whoever_judges_it(world):
    """The gateway is a tunnel: it reads no frame."""
    name = world.name()
    socket = await world.connect("echo", name)
    socket.transport.write(Frame(Opcode.TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80").serialize(mask=True))
    await socket.wait_closed()
    same(socket.close_code, 1007)


@case
async def frames_that_break_the_protocol_pass_to_whoever_judges_them(world):
    for frame, code in [
        (bytes([0xC1, 0x81, 0, 0, 0, 0, 120]), 1002),  # a reserved bit
        (bytes([0x83, 0x80, 1, 2, 3, 4]), 1002),  # an opcode that is reserved
        (Frame(Opcode.CONT, b"x").serialize(mask=True), 1002),  # a continuation of nothing
        (Frame(Opcode.TEXT, b"x").serialize(mask=False), 1002),
        (bytes([0x09, 0x80, 1, 2, 3, 4]), 1002),  # a ping in fragments
    ]:
        socket = await world.connect("echo", world.name())
        socket.transport.write(frame)
        await socket.wait_closed()
        same(socket.close_code, code)


@case
async def one_byte_at_a_time(world):
    name = world.name()
    socket = await world.connect("echo", name)
    for octet in Frame(Opcode.TEXT, "Hallo, ä".encode()).serialize(mask=True):
        socket.transport.write(bytes([octet]))
        await asyncio.sleep(0)
    same(await socket.recv(), "Hallo, ä")
    await socket.close()


@case
async def a_server_that_does_not_read_holds_the_client_up(world):
    name = world.name()
    GATES[name] = asyncio.Event()
    async with world.connect("slow", name) as socket:
        sent = 0

        async def send():
            nonlocal sent
            for number in range(64):
                await socket.send(bytes([number]) * MIB)
                sent += 1

        sending = asyncio.create_task(send())
        await until(lambda: sent > 0, "something is sent")
        held = await stalls(lambda: sent)
        assert held < 40, f"{held} MiB were taken of nobody's reading"
        GATES[name].set()
        await sending
        same(await socket.recv(), str(64 * MIB))


@case
async def a_client_that_does_not_read_holds_the_server_up(world):
    name = world.name()
    async with world.connect("flood", name, max_queue=1) as socket:
        await until(lambda: SEEN.get(name, {}).get("sent", 0) > 0, "something is sent")
        held = await stalls(lambda: SEEN[name]["sent"])
        assert held < 40, f"{held} MiB were taken of nobody's reading"
        for number in range(64):
            message = await socket.recv()
            same((len(message), message[:1], message[-1:]), (MIB, bytes([number]), bytes([number])))


@case
async def the_server_learns_what_is_meant_for_it(world):
    name = world.name()
    async with world.connect("echo", name, headers={"X-Forwarded-User": "admin", "X-Own": "yes"}) as socket:
        await socket.send("x")
        await socket.recv()
    seen = SEEN[name]["headers"]
    same(seen["origin"], world.told["upstream"])
    same(seen["host"], world.told["upstream"].split("//")[1])
    same((seen["x-own"], seen.get("x-forwarded-user"), seen["x-forwarded-proto"]), ("yes", None, "https"))
    same("vestibule" in json.dumps(seen), False)


@case
async def a_hundred_at_once(world):
    async def one(number):
        async with world.connect("echo", world.name()) as socket:
            for turn in range(5):
                message = f"{number} {turn} " + "x" * number
                await socket.send(message)
                same(await socket.recv(), message)

    await asyncio.gather(*(one(number) for number in range(100)))


def chosen(_, offered):
    return next((name for name in offered if name in ("chat.v1", "chat.v2")), None)


async def main():
    settings = {"max_size": 64 * MIB, "max_queue": 1, "ping_interval": None, "select_subprotocol": chosen}
    async with serve(server, "127.0.0.1", 0, **settings) as serving:
        print(json.dumps({"port": serving.sockets[0].getsockname()[1]}), flush=True)
        told = json.loads(await asyncio.to_thread(sys.stdin.readline))
        world = World(told)
        for act in CASES:
            error = None
            try:
                await asyncio.wait_for(act(world), PATIENCE)
            except Exception:
                error = traceback.format_exc(limit=-2)
            print(json.dumps({"case": act.__name__, "error": error}), flush=True)
        print(json.dumps({"done": len(CASES)}), flush=True)
        os._exit(0)


asyncio.run(main())
