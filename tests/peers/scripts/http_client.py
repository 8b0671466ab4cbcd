"""http.client of Python's library: http_client.py HOST:PORT FOLDER. Ends with `fine` on its last line."""

import http.client, os, sys

place, folder = sys.argv[1:]
page = open(os.path.join(folder, "page"), "rb").read()
large = open(os.path.join(folder, "large"), "rb").read()
connection = http.client.HTTPConnection(place, timeout=60)


def ask(method, path, body=None, **more):
    connection.request(method, path, body, **more)
    response = connection.getresponse()
    return response, response.read()


for _ in range(3):
    response, content = ask("GET", "/page")
    assert (response.status, response.version, content == page) == (200, 11, True), vars(response)
response, content = ask("HEAD", "/page")
assert (content, response.headers["content-length"]) == (b"", str(len(page))), vars(response)
response, content = ask("POST", "/upload", page)
assert (response.status, content == page) == (200, True), vars(response)
pieces = (page[at : at + 10_000] for at in range(0, len(page), 10_000))
response, content = ask("POST", "/upload", pieces, encode_chunked=True, headers={"transfer-encoding": "chunked"})
assert (response.status, content == page) == (200, True), (vars(response), len(content))
response, content = ask("GET", "/large")
assert content == large, len(content)
response, content = ask("GET", "/nothing")
assert response.status == 404
response, content = ask("GET", "/page", headers={"connection": "close"})
assert (response.status, response.headers["connection"], content == page) == (200, "close", True), vars(response)
print("fine")
