"""Python's h2 as a client: many streams at once, with windows that are opened piece by piece.

    client.py {"port": 443, "ca": "cert.pem", "host": "localhost", "post": "/private/x", "cookie": ..., "origin": ...}

One line of JSON: how much came and went.
"""

import json
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings

SETTINGS = json.loads(sys.argv[1])


def main():
    context = ssl.create_default_context(cafile=SETTINGS["ca"])
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", SETTINGS["port"]), timeout=60)
    connection = context.wrap_socket(plain, server_hostname=SETTINGS["host"])
    # Strict: h2 raises an error where the other side does what RFC 9113 does not allow.
    protocol = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    protocol.initiate_connection()
    connection.sendall(protocol.data_to_send())

    told = {"answered": 0, "downloaded": 0, "uploaded": 0, "pushes": 0, "error": None}
    common = [(":scheme", "https"), (":authority", SETTINGS["host"])]
    signed_in = [("cookie", SETTINGS["cookie"]), ("origin", SETTINGS["origin"])]
    waiting = [("GET", f"/public/{(n % 100) * 1000}", 0) for n in range(200)]
    waiting += [("POST", SETTINGS["post"], 300_000) for _ in range(20)]
    open_streams, to_send, uploads = set(), {}, {}
    settled = False

    def begin():
        while waiting and settled and protocol.open_outbound_streams < protocol.remote_settings.max_concurrent_streams:
            method, path, length = waiting.pop()
            stream = protocol.get_next_available_stream_id()
            fields = [(":method", method)] + common + [(":path", path)] + (signed_in if length else [])
            protocol.send_headers(stream, fields, end_stream=not length)
            open_streams.add(stream)
            if length:
                to_send[stream] = length
                uploads[stream] = b""

    def send():
        for stream in list(to_send):
            while to_send.get(stream):
                most = min(to_send[stream], protocol.local_flow_control_window(stream), protocol.max_outbound_frame_size)
                if most <= 0:
                    break
                to_send[stream] -= most
                protocol.send_data(stream, b"x" * most, end_stream=to_send[stream] == 0)
                if not to_send[stream]:
                    del to_send[stream]

    while waiting or open_streams or not settled:
        for event in protocol.receive_data(connection.recv(65536)):
            if isinstance(event, h2.events.RemoteSettingsChanged):
                settled = True
            elif isinstance(event, h2.events.DataReceived):
                protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if event.stream_id in uploads:
                    uploads[event.stream_id] += event.data
                else:
                    told["downloaded"] += len(event.data)
            elif isinstance(event, h2.events.ResponseReceived):
                status = dict(event.headers)[":status"]
                if status != "200":
                    told["error"] = f"status {status}"
                told["answered"] += event.stream_id not in uploads
            elif isinstance(event, h2.events.StreamEnded):
                open_streams.discard(event.stream_id)
            elif isinstance(event, h2.events.PushedStreamReceived):
                told["pushes"] += 1
            elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                told["error"] = str(event)
                open_streams.clear()
                waiting.clear()
                settled = True
        begin()
        send()
        connection.sendall(protocol.data_to_send())
    told["uploaded"] = sum(int(body) for body in uploads.values())
    told["extended_connect"] = bool(protocol.remote_settings.enable_connect_protocol)
    protocol.close_connection()
    connection.sendall(protocol.data_to_send())
    print(json.dumps(told), flush=True)


main()
