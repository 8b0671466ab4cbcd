// Node's http and http2 as clients: node_client.mjs HOST:PORT FOLDER. Ends with `fine` on its last line.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";

const [place, folder] = process.argv.slice(2);
const [page, large] = ["page", "large"].map((name) => digest(readFileSync(`${folder}/${name}`)));
const upload = readFileSync(`${folder}/page`);

function digest(octets) {
  return createHash("sha256").update(octets).digest("hex");
}

function collect(stream, resolve, reject, head) {
  const hash = createHash("sha256");
  stream.on("data", (piece) => hash.update(piece));
  stream.on("end", () => resolve({ ...head(), content: hash.digest("hex") }));
  stream.on("error", reject);
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });

function over1(method, path, content) {
  return new Promise((resolve, reject) => {
    const request = http.request(`http://${place}${path}`, { method, agent }, (response) =>
      collect(response, resolve, reject, () => ({ status: response.statusCode })),
    );
    request.on("error", reject);
    // Written in two pieces, content has no length beforehand: chunks.
    if (content) request.write(content.subarray(0, 1000));
    request.end(content?.subarray(1000));
  });
}

const session = http2.connect(`http://${place}`);

function over2(method, path, content) {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": method, ":path": path });
    let status;
    stream.on("response", (fields) => (status = fields[":status"]));
    collect(stream, resolve, reject, () => ({ status }));
    stream.end(content);
  });
}

for (const ask of [over1, over2]) {
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask("GET", "/page")));
  for (const answer of answers) assert.deepEqual(answer, { status: 200, content: page });
  assert.deepEqual(await ask("POST", "/upload", upload), { status: 200, content: page });
  assert.deepEqual(await ask("GET", "/large"), { status: 200, content: large });
  assert.equal((await ask("HEAD", "/page")).content, digest(""));
}
session.close();
agent.destroy();
console.log("fine");
