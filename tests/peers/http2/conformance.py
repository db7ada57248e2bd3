"""What RFC 9113 and RFC 7541 say of each frame that a proper client would not send, and of those that it may: the list of h2spec,
with frames by hand and heads by hpack.

    conformance.py {"port": 443, "ca": "cert.pem", "host": "localhost", "path": "/public/x", "post": "/private/x",
                    "cookie": ..., "origin": ...}

A POST is one of somebody who is signed in: it stays open until its body has arrived.

One line of JSON for each case: {"case": ..., "seen": ..., "wanted": [...], "ok": ...}, and {"done": count} at the end.
"""

import json
import socket
import ssl
import struct
import sys

from hpack import Decoder, Encoder

SETTINGS = json.loads(sys.argv[1])
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE = 10

NO_ERROR, PROTOCOL, INTERNAL, FLOW, SETTINGS_TIMEOUT, CLOSED, FRAME_SIZE, REFUSED, CANCEL, COMPRESSION = range(10)
NAMES = ["NO_ERROR", "PROTOCOL", "INTERNAL", "FLOW", "SETTINGS_TIMEOUT", "CLOSED", "FRAME_SIZE", "REFUSED", "CANCEL", "COMPRESSION"]
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS_TYPE, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)


def name(code):
    return NAMES[code] if code < len(NAMES) else {11: "CALM"}.get(code, str(code))


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def get(*more, path=None):
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", SETTINGS["host"]), (":path", path or SETTINGS["path"])]
    return fields + list(more)


def post(*more):
    signed_in = [("cookie", SETTINGS["cookie"]), ("origin", SETTINGS["origin"])]
    return [(":method", "POST")] + get(path=SETTINGS["post"])[1:] + signed_in + list(more)


def block(fields):
    return Encoder().encode(fields, huffman=False)


def literal(fields):
    """Fields as they are, upper case among them: hpack would not change them either, but says so by a warning."""
    out = b""
    for key, value in fields:
        key, value = key.encode(), value.encode()
        assert len(key) < 127 and len(value) < 127
        out += b"\x00" + bytes([len(key)]) + key + bytes([len(value)]) + value
    return out


def head(stream=1, fields=None, end=True, whole=True):
    flags = (END_STREAM if end else 0) | (END_HEADERS if whole else 0)
    return frame(HEADERS, flags, stream, block(fields or get()))


class Connection:
    def __init__(self, settings=b"", preface=PREFACE):
        context = ssl.create_default_context(cafile=SETTINGS["ca"])
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", SETTINGS["port"]), timeout=PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname=SETTINGS["host"])
        assert self.socket.selected_alpn_protocol() == "h2"
        self.held = b""
        self.settings = {}
        self.decoder = Decoder()
        self.statuses = {}
        self.send(preface + frame(SETTINGS_TYPE, 0, 0, settings))

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # the other side may have hung up already: that is an answer too

    def next(self):
        """The next frame, or None at the end of the connection."""
        while len(self.held) < 9 or len(self.held) < 9 + int.from_bytes(self.held[:3], "big"):
            try:
                more = self.socket.recv(65536)
            except TimeoutError:
                raise
            except OSError:
                return None
            if not more:
                return None
            self.held += more
        length = int.from_bytes(self.held[:3], "big")
        kind, flags, stream = self.held[3], self.held[4], int.from_bytes(self.held[5:9], "big")
        payload, self.held = self.held[9 : 9 + length], self.held[9 + length :]
        if kind == SETTINGS_TYPE and not flags & ACK:
            for at in range(0, length, 6):
                key, value = struct.unpack(">HI", payload[at : at + 6])
                self.settings[key] = value
            self.send(frame(SETTINGS_TYPE, ACK, 0))
        if kind == HEADERS:
            assert flags & END_HEADERS and not flags & PADDED, "a head in several frames, or with padding"
            fields = dict(self.decoder.decode(payload))
            self.statuses.setdefault(stream, fields.get(":status", fields.get(b":status")))
        return kind, flags, stream, payload

    def outcome(self, stream=1, wait_for=None):
        """How it ends: of the stream, or of the connection. `wait_for` is a frame that may come instead."""
        while True:
            try:
                seen = self.next()
            except TimeoutError:
                return "silence"
            if seen is None:
                return "closed"
            kind, flags, of, payload = seen
            if wait_for and wait_for(kind, flags, of, payload):
                return "as wanted"
            if kind == GOAWAY:
                return "goaway " + name(int.from_bytes(payload[4:8], "big"))
            if kind == RST_STREAM and of == stream:
                return "reset " + name(int.from_bytes(payload, "big"))
            if kind == HEADERS and of == stream and not wait_for:
                return f"answered {self.statuses[stream]}"

    def lives(self):
        """Whether the connection is still one: a ping is answered."""
        self.send(frame(PING, 0, 0, b"alive???"))
        return self.outcome(-1, lambda kind, flags, _, payload: kind == PING and flags & ACK and payload == b"alive???")

    def close(self):
        self.socket.close()


# The crate h2 ends a connection by PROTOCOL_ERROR where RFC 9113 names a code that tells more: for frames of a wrong size, windows
# that overflow, header blocks that do not decode, and frames on a stream that is over and forgotten. Section 7 has that code for
# "when a more specific error code is not available"; what counts is that the connection ends and nothing comes of the frame.
LESS_SPECIFIC = {FRAME_SIZE, FLOW, COMPRESSION, CLOSED}


def connection_error(*codes):
    """RFC 9113, section 5.4.1: GOAWAY should be sent, and the connection has to be closed."""
    codes += (PROTOCOL,) if LESS_SPECIFIC & set(codes) else ()
    return ["closed"] + ["goaway " + name(code) for code in codes]


def stream_error(*codes):
    """RFC 9113, section 5.4.2; any stream error may be treated as one of the connection."""
    return ["reset " + name(code) for code in codes] + connection_error(*codes)


CASES = []


def case(section, title, wanted):
    def note(act):
        CASES.append((f"{section} {title}", wanted, act))
        return act

    return note


def sends(section, title, wanted, *data, stream=1):
    def act():
        connection = Connection()
        connection.send(b"".join(data))
        return connection.outcome(stream)

    case(section, title, wanted)(act)


def lives_on(section, title, *data):
    """What is to be ignored is ignored: the connection and its requests go on."""

    def act():
        connection = Connection()
        connection.send(b"".join(data))
        alive = connection.lives()
        if alive != "as wanted":
            return alive
        connection.send(head(101))
        return connection.outcome(101)

    case(section, title, ["answered 200"])(act)


SETTING = lambda key, value: struct.pack(">HI", key, value)
OPEN = head(end=False, fields=post())

# 3.4 Preface
case("3.4", "a preface that is none", connection_error(PROTOCOL))(
    lambda: Connection(preface=b"INVALID CONNECTION PREFACE\r\n\r\n").outcome()
)
lives_on("3.4", "settings, and nothing else")

# 4 Frames
lives_on("4.1", "an unknown kind of frame", frame(0xFF, 0, 0, b"\0" * 8))
lives_on("4.1", "flags that mean nothing", frame(PING, 0xFE, 0, b"undefind"))
lives_on("4.1", "the reserved bit", frame(PING, 0, 0x80000000, b"reserved"))
sends("4.2", "DATA of the greatest size", ["answered 200"] + stream_error(CLOSED, REFUSED, CANCEL, NO_ERROR), OPEN, frame(DATA, END_STREAM, 1, b"x" * 16384))
sends("4.2", "DATA that is larger than allowed", stream_error(FRAME_SIZE), OPEN, frame(DATA, END_STREAM, 1, b"x" * 16385))
sends("4.2", "HEADERS that are larger than allowed", connection_error(FRAME_SIZE), frame(HEADERS, 5, 1, block(get()) + b"\0" * 16385))
sends("4.3", "a header block that does not decode", connection_error(COMPRESSION), frame(HEADERS, 5, 1, b"\x00\xff\xff\xff\xff\xff"))
sends("4.3", "PRIORITY within a header block", connection_error(PROTOCOL), head(whole=False), frame(PRIORITY, 0, 1, b"\0\0\0\0\xff"))
sends("4.3", "HEADERS of another stream within a header block", connection_error(PROTOCOL), head(whole=False), head(3))

# 5.1 States of streams
sends("5.1", "idle: DATA", connection_error(PROTOCOL), frame(DATA, END_STREAM, 1, b"x"))
sends("5.1", "idle: RST_STREAM", connection_error(PROTOCOL), frame(RST_STREAM, 0, 1, b"\0\0\0\x08"))
sends("5.1", "idle: WINDOW_UPDATE", connection_error(PROTOCOL), frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\x64"))
sends("5.1", "idle: CONTINUATION", connection_error(PROTOCOL), frame(CONTINUATION, END_HEADERS, 1, block(get())))


def after_end(title, data, wanted):
    """The stream is half closed by us, and perhaps closed."""

    def act():
        connection = Connection()
        connection.send(head() + data)
        seen = connection.outcome(1, lambda kind, flags, of, _: False)
        return seen

    case("5.1", title, wanted)(act)


after_end("half closed: DATA", frame(DATA, END_STREAM, 1, b"x"), stream_error(CLOSED))
after_end("half closed: HEADERS", head(), stream_error(CLOSED))
after_end("half closed: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, block(get())), stream_error(CLOSED, PROTOCOL))
RESET = head() + frame(RST_STREAM, 0, 1, b"\0\0\0\x08")


def after_reset(title, data, wanted, ignored_too):
    """RFC 9113, section 5.1: after we have reset a stream ourselves, frames on it are an error of type STREAM_CLOSED; an endpoint may
    ignore some of them instead. What counts is that nothing comes of them."""

    def act():
        connection = Connection()
        connection.send(RESET + data)
        connection.send(frame(PING, 0, 0, b"alive???"))
        seen = connection.outcome(1, lambda kind, flags, _, payload: kind == PING and flags & ACK)
        return "ignored" if seen == "as wanted" else seen

    case("5.1", title, wanted + (["ignored"] if ignored_too else []))(act)


after_reset("closed by a reset: DATA", frame(DATA, END_STREAM, 1, b"x"), stream_error(CLOSED), True)
after_reset("closed by a reset: HEADERS", head(), stream_error(CLOSED, PROTOCOL), True)
after_reset("closed by a reset: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, block(get())), stream_error(CLOSED, PROTOCOL), False)
sends("5.1.1", "an even stream", connection_error(PROTOCOL), head(2), stream=2)


def earlier_stream():
    connection = Connection()
    connection.send(head(5))
    if connection.outcome(5) != "answered 200":
        return "the first request was not answered"
    connection.send(head(3))
    return connection.outcome(3)


case("5.1.1", "a stream that is earlier than another", connection_error(PROTOCOL))(earlier_stream)


def too_many_streams():
    connection = Connection()
    connection.lives()
    most = connection.settings.get(3, 2**31)
    if most > 1000:
        return f"{most} streams are allowed"
    for number in range(most + 1):
        connection.send(head(2 * number + 1, post(), end=False))
    last = 2 * most + 1
    return connection.outcome(last)


case("5.1.2", "more streams than are allowed", stream_error(PROTOCOL, REFUSED))(too_many_streams)
lives_on("5.5", "an unknown kind of frame on a stream", head(1), frame(0xF0, 0, 1, b"extension"))
sends("5.5", "an unknown kind of frame within a header block", connection_error(PROTOCOL), head(whole=False), frame(0xF0, 0, 0, b"x"))

# 6.1 DATA
sends("6.1", "DATA on stream 0", connection_error(PROTOCOL), frame(DATA, END_STREAM, 0, b"x"))
sends("6.1", "more padding than DATA", connection_error(PROTOCOL), OPEN, frame(DATA, END_STREAM | PADDED, 1, b"\x06hello"))
sends("6.1", "DATA with padding", ["answered 200"], OPEN, frame(DATA, END_STREAM | PADDED, 1, b"\x02hello\0\0"))

# 6.2 HEADERS
sends("6.2", "HEADERS on stream 0", connection_error(PROTOCOL), head(0))
sends("6.2", "more padding than HEADERS", connection_error(PROTOCOL), frame(HEADERS, 5 | PADDED, 1, b"\xff" + block(get())))
sends("6.2", "HEADERS with padding", ["answered 200"], frame(HEADERS, 5 | PADDED, 1, b"\x03" + block(get()) + b"\0\0\0"))
sends("6.2", "HEADERS with a priority", ["answered 200"], frame(HEADERS, 5 | 0x20, 1, b"\0\0\0\0\x10" + block(get())))
sends("6.2", "HEADERS of a stream that depends on itself", ["answered 200"] + stream_error(PROTOCOL), frame(HEADERS, 5 | 0x20, 1, b"\0\0\0\x01\x10" + block(get())))

# 6.3 PRIORITY
sends("6.3", "PRIORITY on stream 0", connection_error(PROTOCOL), frame(PRIORITY, 0, 0, b"\0\0\0\0\x10"))
sends("6.3", "PRIORITY of another length", stream_error(FRAME_SIZE), head(end=False, fields=post()), frame(PRIORITY, 0, 1, b"\0\0\0\x10"))

# 6.4 RST_STREAM
sends("6.4", "RST_STREAM on stream 0", connection_error(PROTOCOL), frame(RST_STREAM, 0, 0, b"\0\0\0\x08"))
sends("6.4", "RST_STREAM of another length", connection_error(FRAME_SIZE), OPEN, frame(RST_STREAM, 0, 1, b"\0\0\x08"))

# 6.5 SETTINGS
sends("6.5", "an acknowledgement with a payload", connection_error(FRAME_SIZE), frame(SETTINGS_TYPE, ACK, 0, b"\0"))
sends("6.5", "SETTINGS on a stream", connection_error(PROTOCOL), frame(SETTINGS_TYPE, 0, 1, SETTING(3, 1)))
sends("6.5", "SETTINGS of another length", connection_error(FRAME_SIZE), frame(SETTINGS_TYPE, 0, 0, b"\0\x03\0\0\0"))
sends("6.5.2", "ENABLE_PUSH of 2", connection_error(PROTOCOL), frame(SETTINGS_TYPE, 0, 0, SETTING(2, 2)))
sends("6.5.2", "INITIAL_WINDOW_SIZE above its greatest", connection_error(FLOW), frame(SETTINGS_TYPE, 0, 0, SETTING(4, 2**31)))
sends("6.5.2", "MAX_FRAME_SIZE below its least", connection_error(PROTOCOL), frame(SETTINGS_TYPE, 0, 0, SETTING(5, 16383)))
sends("6.5.2", "MAX_FRAME_SIZE above its greatest", connection_error(PROTOCOL), frame(SETTINGS_TYPE, 0, 0, SETTING(5, 2**24)))
lives_on("6.5.2", "an unknown setting", frame(SETTINGS_TYPE, 0, 0, SETTING(0xFF, 1)))


def acknowledged():
    connection = Connection()
    connection.send(frame(SETTINGS_TYPE, 0, 0, SETTING(3, 10)))
    acks = 0
    while acks < 2:
        seen = connection.next()
        if seen is None:
            return "closed"
        acks += seen[0] == SETTINGS_TYPE and seen[1] & ACK == ACK
    return "acknowledged"


case("6.5.3", "SETTINGS are acknowledged", ["acknowledged"])(acknowledged)

# 6.6 PUSH_PROMISE
sends("6.6", "PUSH_PROMISE by a client", connection_error(PROTOCOL), OPEN, frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + block(get())))

# 6.7 PING
lives_on("6.7", "PING that is an answer to nothing", frame(PING, ACK, 0, b"invalid?"))
sends("6.7", "PING on a stream", connection_error(PROTOCOL), frame(PING, 0, 1, b"12345678"))
sends("6.7", "PING of another length", connection_error(FRAME_SIZE), frame(PING, 0, 0, b"123456"))

# 6.8 GOAWAY
sends("6.8", "GOAWAY on a stream", connection_error(PROTOCOL), frame(GOAWAY, 0, 1, b"\0" * 8))


def goes_away():
    """What was begun before is still answered."""
    connection = Connection()
    connection.send(head() + frame(GOAWAY, 0, 0, b"\0" * 8))
    return connection.outcome()


case("6.8", "a client that goes away is still answered", ["answered 200"])(goes_away)

# 6.9 WINDOW_UPDATE
sends("6.9", "WINDOW_UPDATE of 0 for the connection", connection_error(PROTOCOL), frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"))
sends("6.9", "WINDOW_UPDATE of 0 for a stream", stream_error(PROTOCOL), OPEN, frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\0"))
sends("6.9", "WINDOW_UPDATE of another length", connection_error(FRAME_SIZE), frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01"))
GREATEST = frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")
sends("6.9.1", "a window of the connection above its greatest", connection_error(FLOW), GREATEST, GREATEST)
OF_STREAM = frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff")
sends("6.9.1", "a window of a stream above its greatest", stream_error(FLOW), OPEN, OF_STREAM, OF_STREAM)


def windows(first, then):
    """The answer comes in no more than the window allows; `then` opens it."""

    def act():
        connection = Connection(SETTING(4, first))
        connection.send(head())
        body, ended = b"", False

        def read(until):
            nonlocal body, ended
            while not ended and len(body) < until:
                seen = connection.next()
                if seen is None:
                    return "closed"
                kind, flags, of, payload = seen
                if kind == GOAWAY or kind == RST_STREAM:
                    return "refused"
                if kind == DATA and of == 1:
                    body += payload
                    ended = flags & END_STREAM != 0
            return None

        failed = read(first)
        if failed:
            return failed
        if connection.lives() != "as wanted":  # whatever came meanwhile would have come before
            return "no answer to a ping"
        if len(body) != first:
            return f"{len(body)} bytes in a window of {first}"
        connection.send(then)
        return read(2**31) or ("whole" if ended else "not whole")

    return act


OPENED = frame(WINDOW_UPDATE, 0, 1, b"\0\0\x10\0")
case("6.9.1", "a window of one byte", ["whole"])(windows(1, OPENED))
case("6.9.2", "a window that the settings open", ["whole"])(windows(0, frame(SETTINGS_TYPE, 0, 0, SETTING(4, 4096))))


def negative_window():
    connection = Connection(SETTING(4, 3))
    connection.send(head())
    while True:
        seen = connection.next()
        if seen is None:
            return "closed"
        if seen[0] == DATA:
            break
    connection.send(frame(SETTINGS_TYPE, 0, 0, SETTING(4, 1)) + frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\x02"))
    if connection.lives() != "as wanted":
        return "no answer to a ping"
    connection.send(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\x01"))
    while True:
        seen = connection.next()
        if seen is None:
            return "closed"
        if seen[0] == DATA:
            return "one byte" if len(seen[3]) == 1 else f"{len(seen[3])} bytes"


case("6.9.2", "a window below zero", ["one byte"])(negative_window)
sends("6.9.2", "settings that make a window too large", connection_error(FLOW), OPEN, frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 2**31 - 1 - 65535)), frame(SETTINGS_TYPE, 0, 0, SETTING(4, 2**31 - 1)))

# 6.10 CONTINUATION
PARTS = [block(get())[:9], block(get())[9:14], block(get())[14:]]
sends("6.10", "a head in three frames", ["answered 200"], frame(HEADERS, END_STREAM, 1, PARTS[0]), frame(CONTINUATION, 0, 1, PARTS[1]), frame(CONTINUATION, END_HEADERS, 1, PARTS[2]))
sends("6.10", "DATA in place of CONTINUATION", connection_error(PROTOCOL), frame(HEADERS, END_STREAM, 1, PARTS[0]), frame(DATA, END_STREAM, 1, b"x"))
sends("6.10", "CONTINUATION on stream 0", connection_error(PROTOCOL), frame(HEADERS, END_STREAM, 1, PARTS[0]), frame(CONTINUATION, END_HEADERS, 0, PARTS[1]))
sends("6.10", "CONTINUATION of another stream", connection_error(PROTOCOL), frame(HEADERS, END_STREAM, 1, PARTS[0]), frame(CONTINUATION, END_HEADERS, 3, PARTS[1]))
sends("6.10", "CONTINUATION after DATA", connection_error(PROTOCOL), OPEN, frame(DATA, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, block([("x", "y")])))


def continuation_after_the_end():
    connection = Connection()
    connection.send(head(end=False, fields=post()) + frame(CONTINUATION, END_HEADERS, 1, block([("x", "y")])))
    return connection.outcome(1, lambda *_: False)


case("6.10", "CONTINUATION after the end of the head", connection_error(PROTOCOL))(continuation_after_the_end)


# 8 HTTP: malformed requests are stream errors, and an answer of 400 may come before
def malformed(section, title, fields, *data, raw=False):
    wanted = stream_error(PROTOCOL) + ["answered 400"]
    # Nothing of these paths may reach the upstream: whoever starts this looks.
    paths = {SETTINGS["path"]: "/public/malformed", SETTINGS["post"]: "/private/malformed"}
    fields = [(key, paths.get(value, value) if key == ":path" else value) for key, value in fields]

    def act():
        connection = Connection()
        flags = END_HEADERS | (0 if data else END_STREAM)
        connection.send(frame(HEADERS, flags, 1, literal(fields) if raw else block(fields)) + b"".join(data))
        return connection.outcome(1)

    case(section, title, wanted)(act)


END = frame(DATA, END_STREAM, 1, b"hello")
malformed("8.1", "a second head that ends nothing", post(), frame(HEADERS, END_HEADERS, 1, block([("x", "y")])), END)
malformed("8.2.1", "a name in upper case", get(("X-Test", "ok")), raw=True)
malformed("8.2.1", "a value with a line break", get(("x-test", "a\nb")), raw=True)
malformed("8.2.2", "a field of the connection", get(("connection", "keep-alive")))
malformed("8.2.2", "TE with more than trailers", get(("te", "trailers, deflate")))
malformed("8.3", "an unknown pseudo-field", get((":test", "ok")))
malformed("8.3", "a pseudo-field of answers", get((":status", "200")))
malformed("8.3", "a pseudo-field behind others", [("x-test", "ok")] + get())
# RFC 9113 calls a request with these malformed, too. The crate h2 leaves pseudo-fields in trailers out, and the gateway drops what
# else stands there: the request is what its head says, and nothing of its trailers gets to anybody.
sends("8.3", "a pseudo-field in trailers", ["answered 200"] + stream_error(PROTOCOL), OPEN, frame(HEADERS, 5, 1, block([(":method", "GET")])))
malformed("8.3.1", "an empty path", [(":method", "GET"), (":scheme", "https"), (":authority", SETTINGS["host"]), (":path", "")])
malformed("8.3.1", "no method", get()[1:])
malformed("8.3.1", "no scheme", [field for field in get() if field[0] != ":scheme"])
malformed("8.3.1", "no path", get()[:3])
malformed("8.3.1", "two methods", get((":method", "GET"))[4:] + get())
malformed("8.3.1", "two schemes", [(":scheme", "https")] + get())
malformed("8.3.1", "two paths", [(":path", "/")] + get())
malformed("8.1.1", "more DATA than its length says", post(("content-length", "1")), END)
malformed("8.1.1", "less DATA than its length says", post(("content-length", "9")), END)
malformed("8.1.1", "more in several DATA", post(("content-length", "1")), frame(DATA, 0, 1, b"x"), END)

# RFC 7541
sends("7541 2.3.3", "an index beyond the tables", connection_error(COMPRESSION), frame(HEADERS, 5, 1, block(get()) + b"\xff\x7f"))
sends("7541 4.2", "a table's size at the end of a block", connection_error(COMPRESSION), frame(HEADERS, 5, 1, block(get()) + b"\x20"))
sends("7541 5.2", "padding of a Huffman code of more than 7 bits", connection_error(COMPRESSION), frame(HEADERS, 5, 1, block(get()) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"))
sends("7541 5.2", "padding of a Huffman code with zeros", connection_error(COMPRESSION), frame(HEADERS, 5, 1, block(get()) + b"\x00\x85\xf2\xb2\x4a\x87\xff\x83\x49\x50\x90"))
sends("7541 5.2", "an end of a string within a Huffman code", connection_error(COMPRESSION), frame(HEADERS, 5, 1, block(get()) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"))
sends("7541 6.1", "index 0", connection_error(COMPRESSION), frame(HEADERS, 5, 1, block(get()) + b"\x80"))
sends("7541 6.3", "a table that is larger than allowed", connection_error(COMPRESSION), frame(HEADERS, 5, 1, b"\x3f\xe1\xff\xff\x03" + block(get())))


def main():
    for title, wanted, act in CASES:
        try:
            seen = act()
        except Exception as error:  # a case that cannot be carried out is one that failed
            seen = f"{type(error).__name__}: {error}"
        print(json.dumps({"case": title, "seen": seen, "wanted": wanted, "ok": seen in wanted}), flush=True)
    print(json.dumps({"done": len(CASES)}), flush=True)


main()
