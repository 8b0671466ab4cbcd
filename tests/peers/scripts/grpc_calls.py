"""grpcio on both sides: `grpc_calls.py serve` prints its port; `grpc_calls.py call HOST:PORT` ends with `fine`.

Messages are plain octets: what is shown is how calls pass, not how messages are written.
"""

import sys, threading
from concurrent import futures

import grpc

LARGE = bytes(range(256)) * (4 << 12)  # 4 MiB
OPTIONS = [("grpc.max_receive_message_length", 8 << 20), ("grpc.max_send_message_length", 8 << 20)]
cancelled = threading.Event()


def unary(message, context):
    metadata = dict(context.invocation_metadata())
    context.send_initial_metadata([("x-first", metadata.get("x-word", "none"))])
    context.set_trailing_metadata([("x-last-bin", metadata.get("x-octets-bin", b""))])
    return message


def refuse(message, context):
    context.set_trailing_metadata([("x-why", "asked")])
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "100 % refused: \u00e9")


def join(messages, context):
    return b"".join(messages)


def split(message, context):
    for at in range(0, len(message), 1024):
        yield message[at : at + 1024]


def echo(messages, context):
    """The head leaves before there is a message, and each answer before the next question."""
    context.send_initial_metadata([("x-first", "head")])
    for message in messages:
        yield message


def forever(message, context):
    context.add_callback(cancelled.set)
    yield b"first"
    cancelled.wait(60)


def was_cancelled(message, context):
    known = cancelled.wait(30)
    cancelled.clear()
    return b"yes" if known else b"no"


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
    "Join": grpc.stream_unary_rpc_method_handler(join),
    "Split": grpc.unary_stream_rpc_method_handler(split),
    "Echo": grpc.stream_stream_rpc_method_handler(echo),
    "Forever": grpc.unary_stream_rpc_method_handler(forever),
    "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
}


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(16), options=OPTIONS)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Calls", HANDLERS)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("listening on", port, flush=True)
    server.wait_for_termination()


def call(place):
    with grpc.insecure_channel(place, options=OPTIONS) as channel:
        one_by_one(channel)
        streams(channel)
        ends(channel)
    print("fine")


def one_by_one(channel):
    call = channel.unary_unary("/test.Calls/Unary")
    metadata = [("x-word", "of mine"), ("x-octets-bin", bytes(range(256)))]
    answer, done = call.with_call(b"hello", metadata=metadata, timeout=60)
    assert answer == b"hello"
    assert dict(done.initial_metadata())["x-first"] == "of mine", done.initial_metadata()
    assert dict(done.trailing_metadata())["x-last-bin"] == bytes(range(256)), done.trailing_metadata()
    assert call(b"", timeout=60) == b""
    assert call(LARGE, timeout=60) == LARGE
    many = [call.future(b"%d" % n, timeout=60) for n in range(200)]
    assert [one.result() for one in many] == [b"%d" % n for n in range(200)]


def streams(channel):
    pieces = (LARGE[at : at + 65_536] for at in range(0, len(LARGE), 65_536))
    assert channel.stream_unary("/test.Calls/Join")(pieces, timeout=60) == LARGE
    assert b"".join(channel.unary_stream("/test.Calls/Split")(LARGE[:1_000_000], timeout=60)) == LARGE[:1_000_000]

    asked, answered = threading.Semaphore(0), 0

    def questions():
        for n in range(50):
            asked.acquire()
            yield b"question %d" % n

    answers = channel.stream_stream("/test.Calls/Echo")(questions(), timeout=60)
    # Nothing has been asked yet.
    assert dict(answers.initial_metadata())["x-first"] == "head"
    asked.release()
    for answer in answers:
        assert answer == b"question %d" % answered
        answered += 1
        asked.release()
    assert answered == 50


def ends(channel):
    try:
        channel.unary_unary("/test.Calls/Refuse")(b"", timeout=60)
        raise AssertionError("it was not refused")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        assert error.details() == "100 % refused: \u00e9", error
        assert dict(error.trailing_metadata())["x-why"] == "asked", error
    try:
        channel.unary_unary("/test.Calls/Nothing")(b"", timeout=60)
        raise AssertionError("there is no such method")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    ask = channel.unary_unary("/test.Calls/WasCancelled")
    # Cancelled by the client.
    answers = channel.unary_stream("/test.Calls/Forever")(b"", timeout=60)
    assert next(answers) == b"first"
    answers.cancel()
    assert ask(b"", timeout=60) == b"yes"
    # The deadline has passed on both sides.
    answers = channel.unary_stream("/test.Calls/Forever")(b"", timeout=1)
    try:
        for _ in answers:
            pass
        raise AssertionError("the deadline was not kept")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert ask(b"", timeout=60) == b"yes"


serve() if sys.argv[1] == "serve" else call(sys.argv[2])
