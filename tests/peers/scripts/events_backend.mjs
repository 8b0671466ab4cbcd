// Server-sent events over HTTP/2: the head of /events at once, each of two events when /go has been asked for. It prints its port.

import http2 from "node:http2";

const waiting = [];
let allowed = 0;

// Resolves when /go has been asked for, once for each time.
function go() {
  if (allowed > 0) {
    allowed -= 1;
    return Promise.resolve();
  }
  return new Promise((resolve) => waiting.push(resolve));
}

const server = http2.createServer();

server.on("stream", async (stream, head) => {
  stream.on("error", () => {});
  if (head[":path"] === "/go") {
    const next = waiting.shift();
    if (next) next();
    else allowed += 1;
    stream.respond({ ":status": 200 });
    stream.end("gone on\n");
    return;
  }
  stream.respond({ ":status": 200, "content-type": "text/event-stream" });
  await go();
  stream.write("data: first\n\n");
  await go();
  stream.end("data: last\n\n");
});

server.listen(0, "127.0.0.1", () => console.log("listening on", server.address().port));
