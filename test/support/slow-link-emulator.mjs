// The wire of slow-link.ts: takes packets from one UDP socket per end, holds or drops them, gives them to the other end.
// Arguments: port of this process, port of end 0, port of end 1 (all on 127.0.0.1), seed. Each line on stdin is a condition
// {number, from: 0 | 1, delayMs, loss, isCut}, or {number}; each is answered on stdout by a line
// NUMBER [{passed, dropped}, {passed, dropped}].
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";

const LIMIT = 20_000; // packets in the air per direction: 30 MB; what is beyond is lost, as in a full queue

const [port, ...numbers] = process.argv.slice(2).map(Number);
const [, , seed] = numbers;
const ends = numbers.slice(0, 2);
const directions = ends.map((_, from) => ({
  to: ends[1 - from],
  random: randomNumbers(seed * 2 + from),
  delayMs: 0,
  loss: 0,
  isCut: true,
  queue: [],
  timer: undefined,
  passed: 0,
  dropped: 0,
}));

const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
socket.on("message", (packet, sender) => {
  const direction = directions[ends.indexOf(sender.port)];
  if (direction === undefined) return;
  // Asked for each packet, so that a seed means the same losses whatever else is set.
  const isLost = direction.random() < direction.loss;
  if (isLost || direction.isCut || direction.queue.length >= LIMIT) {
    direction.dropped += 1;
    return;
  }
  if (direction.delayMs === 0 && direction.queue.length === 0) deliver(direction, packet);
  else {
    direction.queue.push({ packet, at: performance.now() + direction.delayMs });
    direction.timer ??= setTimeout(drain, direction.delayMs, direction);
  }
});
socket.bind(port, "127.0.0.1", () => process.stdout.write("ready\n"));

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { number, from, ...condition } = JSON.parse(line);
    if (from !== undefined) change(directions[from], condition);
    process.stdout.write(
      `${number} ${JSON.stringify(directions.map(({ passed, dropped }) => ({ passed, dropped })))}\n`,
    );
  })
  .on("close", () => process.exit());

function change(direction, condition) {
  Object.assign(direction, condition);
  if (!direction.isCut) return;
  direction.dropped += direction.queue.length; // what was in the air is lost too
  direction.queue.length = 0;
}

function drain(direction) {
  direction.timer = undefined;
  // Timers may fire up to a millisecond early by this clock.
  while (direction.queue.length > 0 && direction.queue[0].at <= performance.now() + 0.5) {
    deliver(direction, direction.queue.shift().packet);
  }
  const [next] = direction.queue;
  if (next !== undefined) direction.timer = setTimeout(drain, Math.max(0, next.at - performance.now()), direction);
}

function deliver(direction, packet) {
  direction.passed += 1;
  socket.send(packet, direction.to, "127.0.0.1");
}

/** Numbers in [0, 1), the same for a seed on every machine (mulberry32). */
function randomNumbers(start) {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
