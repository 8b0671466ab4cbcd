"""ssl and http.client of Python's library: tls_client.py HOST:PORT CA FOLDER. Ends with `fine` on its last line."""

import http.client, os, socket, ssl, sys

place, ca, folder = sys.argv[1:]
host, port = place.split(":")
page = open(os.path.join(folder, "page"), "rb").read()


def context(protocols, version=ssl.TLSVersion.TLSv1_2):
    made = ssl.create_default_context(cafile=ca)
    made.set_alpn_protocols(protocols)
    made.maximum_version = version
    return made


for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    connection = http.client.HTTPSConnection(host, int(port), timeout=60, context=context(["http/1.1"], version))
    for method, path, body in ("GET", "/page", None), ("POST", "/upload", page):
        connection.request(method, path, body)
        response = connection.getresponse()
        assert (response.status, response.read() == page) == (200, True), vars(response)
    assert connection.sock.version() == version.name.replace("_", "."), connection.sock.version()
    connection.close()
    # The second connection takes the session up again.
    again = context(["http/1.1"], version)

    first = again.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host)
    first.sendall(b"GET /page HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    while first.recv(65536):
        pass
    second = again.wrap_socket(
        socket.create_connection((host, int(port))), server_hostname=host, session=first.session
    )
    assert second.session_reused, version
    assert second.selected_alpn_protocol() == "http/1.1"
    second.sendall(b"GET /page HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    while second.recv(65536):
        pass
    second.close()

# Nothing in common; a name that nobody has; an authority that is not trusted.
for made, name in (context(["spdy/1"]), host), (context(["h2"]), "elsewhere.test"), (ssl.create_default_context(), host):
    try:
        made.wrap_socket(socket.create_connection((host, int(port))), server_hostname=name)
        raise AssertionError("it was taken")
    except ssl.SSLError:
        pass
print("fine")
