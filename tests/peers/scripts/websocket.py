"""WebSockets by the `websockets` package: `websocket.py serve` prints its port; `websocket.py http1|http2 HOST:PORT` is
a client, by Upgrade or, with the `h2` package, by extended CONNECT (RFC 8441), and ends with `fine`."""

import socket, sys

import h2.config, h2.connection, h2.events, h2.settings
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.sync.client import connect
from websockets.sync.server import serve
from websockets.uri import parse_uri

LARGE = bytes(range(256)) * 4096  # 1 MiB


def answer(connection):
    for message in connection:
        connection.send(message)


def run_server():
    with serve(answer, "127.0.0.1", 0, compression=None, subprotocols=["echo"], ping_interval=None) as server:
        print("listening on", server.socket.getsockname()[1], flush=True)
        server.serve_forever()


def over_http1(place):
    with connect(f"ws://{place}/echo", compression=None, subprotocols=["echo"], open_timeout=30, ping_interval=None) as client:
        assert client.response.status_code == 101, client.response
        assert client.subprotocol == "echo", client.response
        for message in ["hello", "", "\u00e9" * 1000, LARGE]:
            client.send(message)
            assert client.recv(timeout=30) == message
        # Many at once, so that they share segments and fill windows.
        for n in range(500):
            client.send(b"%04d" % n * 100)
        for n in range(500):
            assert client.recv(timeout=30) == b"%04d" % n * 100
        assert client.ping().wait(30)
    assert client.protocol.close_rcvd.code == 1000, client.protocol.close_rcvd


class OverHttp2:
    """One stream of a connection, which is a tunnel, and the protocol that is spoken in it."""

    def __init__(self, place):
        host, port = place.split(":")
        self.socket = socket.create_connection((host, int(port)), 30)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.words = ClientProtocol(parse_uri(f"ws://{place}/echo"), state=OPEN, max_size=None)
        self.status, self.ended, self.head = None, False, {}
        # RFC 8441 section 3: not before the server has said that it can.
        while not self.http.remote_settings.enable_connect_protocol:
            self.take()
        self.stream = self.http.get_next_available_stream_id()
        head = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/echo")]
        more = [(":authority", place), ("sec-websocket-version", "13"), ("sec-websocket-protocol", "echo")]
        self.http.send_headers(self.stream, head + more)
        while self.status is None:
            self.take()

    def take(self):
        """What comes next. What is to be said goes first."""
        self.socket.sendall(self.http.data_to_send())
        octets = self.socket.recv(65536)
        assert octets, "the connection ended"
        for event in self.http.receive_data(octets):
            match event:
                case h2.events.ResponseReceived(headers=head):
                    self.head = dict(head)
                    self.status = int(self.head[":status"])
                case h2.events.DataReceived(data=data, flow_controlled_length=length):
                    self.words.receive_data(data)
                    if length:
                        self.http.acknowledge_received_data(length, event.stream_id)
                case h2.events.StreamEnded():
                    self.ended = True
                case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    raise AssertionError(event)

    def say(self):
        """Sends what the protocol has to say, as windows allow."""
        for octets in self.words.data_to_send():
            while octets:
                room = min(self.http.local_flow_control_window(self.stream), self.http.max_outbound_frame_size)
                if room == 0:
                    self.take()
                self.http.send_data(self.stream, octets[:room])
                octets = octets[room:]
        self.socket.sendall(self.http.data_to_send())

    def hear(self):
        """The next messages, whole."""
        while True:
            frames = [event for event in self.words.events_received() if isinstance(event, Frame)]
            if frames:
                return frames
            assert not self.ended, "the tunnel ended"
            self.take()


def over_http2(place):
    tunnel = OverHttp2(place)
    assert tunnel.status == 200, tunnel.head
    for message in [b"hello", b"", b"\xc3\xa9" * 1000, LARGE]:
        tunnel.words.send_binary(message)
        tunnel.say()
        assert b"".join(frame.data for frame in tunnel.hear()) == message
    expected, heard = [b"%04d" % n * 100 for n in range(500)], []
    for message in expected:
        tunnel.words.send_binary(message)
    tunnel.say()
    while len(heard) < len(expected):
        heard += [frame.data for frame in tunnel.hear()]
    assert heard == expected
    tunnel.words.send_close(1000)
    tunnel.say()
    assert [frame.opcode for frame in tunnel.hear()] == [Opcode.CLOSE]
    # One end has closed: the tunnel ends without a reset.
    tunnel.http.end_stream(tunnel.stream)
    tunnel.say()
    while not tunnel.ended:
        tunnel.take()


if sys.argv[1] == "serve":
    run_server()
else:
    {"http1": over_http1, "http2": over_http2}[sys.argv[1]](sys.argv[2])
    print("fine")
