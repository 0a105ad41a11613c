// One end of a measured path, a process of its own: sends or receives as fast as it can.
//   node end.mjs send|receive connect PORT HELLO...    dials once for each HELLO (hex) and says it; unless it is empty, waits
//                                                      for a zero byte back; prints `joined` when all are there
//   node end.mjs send|receive listen PORT              takes every connection; prints its port; PORT 0 is a free one
// Each line on stdin is answered with the bytes received so far, over all connections.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

const [task, manner, port, ...hellos] = process.argv.slice(2);
const block = Buffer.alloc(256 * 1024, "sshnp ");
let received = 0;

function send(socket) {
  const more = () => {
    while (socket.write(block));
  };
  socket.on("drain", more).on("error", () => {});
  more();
}

function receive(socket) {
  socket.on("data", (chunk) => (received += chunk.length)).on("error", () => {});
}

const use = task === "send" ? send : receive;
if (manner === "listen") {
  const server = createServer({ noDelay: true }, use).listen(Number(port), "127.0.0.1");
  await once(server, "listening");
  console.log(server.address().port);
} else {
  await Promise.all(hellos.map(dial));
  console.log("joined");
}
createInterface({ input: process.stdin }).on("line", () => console.log(received));
process.stdin.on("end", () => process.exit());

async function dial(hello) {
  const socket = connect({ port: Number(port), host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  if (hello !== "") {
    socket.write(Buffer.from(hello, "hex"));
    for (;;) {
      const answer = socket.read(1);
      if (answer?.[0] === 0) break;
      if (answer !== null) throw new Error(`refused: ${answer[0]}`);
      await once(socket, "readable");
    }
  }
  use(socket);
}
