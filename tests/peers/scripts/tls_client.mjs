// Node's https and http2 as clients: tls_client.mjs HOST:PORT CA FOLDER. Ends with `fine` on its last line.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http2 from "node:http2";
import https from "node:https";
import tls from "node:tls";

const [place, caFile, folder] = process.argv.slice(2);
const ca = readFileSync(caFile);
const page = readFileSync(`${folder}/page`);

function collect(stream) {
  return new Promise((resolve, reject) => {
    const pieces = [];
    stream.on("data", (piece) => pieces.push(piece));
    stream.on("end", () => resolve(Buffer.concat(pieces)));
    stream.on("error", reject);
  });
}

const agent = new https.Agent({ ca, keepAlive: true, maxSockets: 4 });
const over1 = (path, body) =>
  new Promise((resolve, reject) => {
    const request = https.request(`https://${place}${path}`, { agent, method: body ? "POST" : "GET" }, (response) => {
      assert.equal(response.statusCode, 200);
      collect(response).then(resolve, reject);
    });
    request.on("error", reject);
    request.end(body);
  });

const session = http2.connect(`https://${place}`, { ca });
const over2 = (path, body) => {
  const stream = session.request({ ":path": path, ":method": body ? "POST" : "GET" });
  stream.end(body);
  return collect(stream);
};

for (const ask of [over1, over2]) {
  for (const answer of await Promise.all(Array.from({ length: 20 }, () => ask("/page")))) assert.deepEqual(answer, page);
  assert.deepEqual(await ask("/upload", page), page);
}
assert.equal(session.alpnProtocol, "h2");
session.close();
agent.destroy();

// The second connection takes the session of the first up again.
const [host, port] = place.split(":");
const kept = await new Promise((resolve, reject) => {
  const first = tls.connect({ host, port, servername: host, ca, ALPNProtocols: ["http/1.1"] }, () => {
    first.write("GET /page HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  });
  let session;
  first.on("session", (given) => (session = given));
  first.on("error", reject);
  first.on("data", () => {});
  first.on("end", () => resolve(session));
});
const second = http2.connect(`https://${place}`, { ca, session: kept });
await new Promise((resolve) => second.once("connect", resolve));
assert.equal(second.socket.isSessionReused(), true);
assert.deepEqual(await collect(second.request({ ":path": "/page" })), page);
second.close();
console.log("fine");
