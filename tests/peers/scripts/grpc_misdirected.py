"""grpcio over TLS, with an authority of which its connection is not: grpc_misdirected.py HOST:PORT CA AUTHORITY. Says `fine` at its end."""

import sys

import grpc

place, ca, authority = sys.argv[1:]
credentials = grpc.ssl_channel_credentials(open(ca, "rb").read())
options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.default_authority", authority)]
with grpc.secure_channel(place, credentials, options) as channel:
    try:
        channel.unary_unary("/a.B/c")(b"", timeout=60)
        raise AssertionError("it was served")
    except grpc.RpcError as error:
        assert (error.code(), error.details()) == (grpc.StatusCode.UNKNOWN, "http_request_error"), error
print("fine")
