// A WebSocket server over HTTP/2 (RFC 8441) on Node's http2, which sends messages back. It prints its port.

import http2 from "node:http2";

const server = http2.createServer({ settings: { enableConnectProtocol: true } });

server.on("stream", (stream, head) => {
  if (head[":method"] !== "CONNECT" || head[":protocol"] !== "websocket") {
    stream.respond({ ":status": 400 }, { endStream: true });
    return;
  }
  stream.respond({ ":status": 200, "sec-websocket-protocol": "echo" });
  let waiting = Buffer.alloc(0);
  stream.on("data", (octets) => {
    waiting = Buffer.concat([waiting, octets]);
    for (let size; (size = answer(stream, waiting)) > 0; ) waiting = waiting.subarray(size);
  });
  stream.on("end", () => stream.end());
  stream.on("error", () => {});
});

// Sends the first frame back, if it is whole: without its mask (RFC 6455 section 5.2). Gives its size, else 0.
function answer(stream, octets) {
  if (octets.length < 2) return 0;
  const short = octets[1] & 0x7f;
  const more = short === 126 ? 2 : short === 127 ? 8 : 0;
  const at = 2 + more + 4;
  if (octets.length < at) return 0;
  const length = more === 2 ? octets.readUInt16BE(2) : more === 8 ? Number(octets.readBigUInt64BE(2)) : short;
  if (octets.length < at + length) return 0;
  const mask = octets.subarray(at - 4, at);
  const content = Buffer.from(octets.subarray(at, at + length));
  for (let n = 0; n < content.length; n++) content[n] ^= mask[n % 4];
  const head = Buffer.from(octets.subarray(0, 2 + more));
  head[1] &= 0x7f;
  // A ping is answered by a pong.
  if ((head[0] & 0xf) === 9) head[0] = 0x8a;
  stream.write(Buffer.concat([head, content]));
  if ((head[0] & 0xf) === 8) stream.end();
  return at + length;
}

server.listen(0, "127.0.0.1", () => console.log("listening on", server.address().port));
