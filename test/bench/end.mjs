// One end of a measured path, a process of its own: sends or receives as fast as it can.
//   node end.mjs send|receive connect PORT HELLO...    dials once for each HELLO (hex) and says it; unless it is empty, waits
//                                                      for a zero byte back; prints `joined` when all are there
//   node end.mjs send|receive listen PORT              takes every connection; prints its port; PORT 0 is a free one
//   node end.mjs send|receive behind PORT SSH          the same for connections that do not speak SSH; those that do
//                                                      reach the server on port SSH. Everybody gets that server's banner
//   node end.mjs send|receive run FILE WORD...         a program that has such an end behind it; prints `joined`
// Each line on stdin is answered with the bytes received so far, over all connections.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

const [task, manner, ...rest] = process.argv.slice(2);
const block = Buffer.alloc(256 * 1024, "sshnp ");
let received = 0;

const MANNERS = {
  async connect([port, ...hellos]) {
    await Promise.all(hellos.map((hello) => dial(Number(port), hello)));
    say("joined");
  },
  async listen([port]) {
    await listen(Number(port), (socket) => use(socket, socket));
  },
  async behind([port, sshPort]) {
    await listen(Number(port), (socket) => standBefore(socket, Number(sshPort)));
  },
  async run([file, ...words]) {
    const child = spawn(file, words, { stdio: ["pipe", "pipe", "inherit"] });
    child.on("exit", () => process.exit(1));
    if (task === "receive") child.stdin.write("\0"); // which is not SSH's first byte
    await skipLine(child.stdout);
    use(child.stdout, child.stdin);
    say("joined");
  },
};
await MANNERS[manner](rest);
createInterface({ input: process.stdin }).on("line", () => say(received));
process.stdin.on("end", () => process.exit());

function say(text) {
  process.stdout.write(`${text}\n`);
}

function use(from, to) {
  from.on("error", () => {});
  to.on("error", () => {});
  if (task === "receive") {
    from.on("data", (chunk) => (received += chunk.length));
    return;
  }
  const more = () => {
    while (to.write(block));
  };
  to.on("drain", more);
  more();
}

async function dial(port, hello) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
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
  use(socket, socket);
}

async function listen(port, onSocket) {
  const server = createServer({ noDelay: true }, onSocket).listen(port, "127.0.0.1");
  await once(server, "listening");
  say(server.address().port);
}

function standBefore(socket, sshPort) {
  const server = connect({ port: sshPort, host: "127.0.0.1", noDelay: true });
  server.on("error", () => socket.destroy());
  socket.on("error", () => server.destroy());
  server.once("data", (banner) => {
    socket.write(banner);
    server.pipe(socket);
    socket.once("data", (first) => choose(socket, server, first));
  });
}

function choose(socket, server, first) {
  if (first.toString("latin1", 0, 4) === "SSH-") {
    server.write(first);
    socket.pipe(server);
    return;
  }
  server.unpipe(socket);
  server.destroy();
  if (task === "receive") received += first.length;
  use(socket, socket);
}

/** Reads up to the end of the first line and leaves the rest. */
async function skipLine(stream) {
  for (;;) {
    const byte = stream.read(1);
    if (byte === null) await once(stream, "readable");
    else if (byte[0] === 10) return;
  }
}
