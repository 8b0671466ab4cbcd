#!/usr/bin/env python3
"""An HTTP/1.1 backend on a port that the kernel picks, which it prints. It serves the folder it is given.

GET  /NAME      a file, or the range of it that is asked for
GET  /events    server-sent events: the head at once, each of two events when /go has been asked for
GET  /hold      an answer when /go has been asked for
GET  /go        lets /hold end, or /events go on by one event
GET  /chunked   /large, in chunks
POST, PUT       what came, counted if it came counted, else in chunks with a trailer section
"""

import os, shutil, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FOLDER = sys.argv[1]
go = threading.Event()


class Origin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024

    def log_message(self, *args):
        pass

    def handle_expect_100(self):
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/go":
            go.set()
            return self.answer(200, b"gone on\n")
        if path == "/hold":
            go.wait(60)
            go.clear()
            return self.answer(200, b"held\n")
        if path == "/events":
            return self.events()
        try:
            name = "large" if path == "/chunked" else os.path.basename(path)
            file = open(os.path.join(FOLDER, name), "rb")
        except OSError:
            return self.answer(404, b"not here\n")
        with file:
            length = os.fstat(file.fileno()).st_size
            if path == "/chunked":
                self.head(200, {"transfer-encoding": "chunked"})
                while piece := file.read(64 * 1024):
                    self.chunk(piece)
                self.wfile.write(b"0\r\n\r\n")
                return
            if asked := self.headers["range"]:
                first, last = (int(n) for n in asked.removeprefix("bytes=").split("-"))
                file.seek(first)
                fields = {"content-range": f"bytes {first}-{last}/{length}", "content-length": last - first + 1}
                self.head(206, fields)
                self.wfile.write(file.read(last - first + 1))
                return
            self.head(200, {"content-length": length, "accept-ranges": "bytes"})
            if self.command != "HEAD":
                shutil.copyfileobj(file, self.wfile, 256 * 1024)

    def do_POST(self):
        if "content-length" in self.headers:
            self.answer(200, self.rfile.read(int(self.headers["content-length"])))
            return
        self.head(200, {"transfer-encoding": "chunked", "trailer": "x-chunks"})
        chunks = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            self.chunk(self.rfile.read(size))
            self.rfile.readline()
            chunks += 1
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"0\r\nx-chunks: %d\r\n\r\n" % chunks)

    do_PUT = do_POST

    def events(self):
        """The head leaves alone, long before the first event."""
        self.head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        self.wfile.flush()
        go.wait(60)
        go.clear()
        self.chunk(b"data: first\n\n")
        self.wfile.flush()
        go.wait(60)
        go.clear()
        self.chunk(b"data: last\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def head(self, status, fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, str(value))
        self.end_headers()

    def answer(self, status, content):
        self.head(status, {"content-length": len(content)})
        if self.command != "HEAD":
            self.wfile.write(content)

    def chunk(self, content):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


server = Server(("127.0.0.1", 0), Origin)
print("listening on", server.server_port, flush=True)
server.serve_forever()
