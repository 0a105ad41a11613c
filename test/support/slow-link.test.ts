import { expect, test } from "vitest";
import { CAN_MAKE_NAMESPACES, joinByVeth, NetworkNamespace } from "./namespaces.ts";
import { isRunning, startProcess } from "./processes.ts";
import { SlowLink } from "./slow-link.ts";

const NOWHERE = { env: { HOME: "/nonexistent" }, cwd: "/" };

// A server that echoes what it gets, on TCP and on UDP.
const ECHO = `
  require("node:net").createServer((socket) => socket.setNoDelay().on("error", () => {}).pipe(socket)).listen(7, () => {
    const udp = require("node:dgram").createSocket("udp4");
    udp.on("message", (packet, from) => udp.send(packet, from.port, from.address)).bind(7, () => console.log("ready"));
  });`;

// Prints the ms that a TCP connection and the echo of one byte take, the best of five.
const CONNECT_AND_ECHO = `
  const { connect } = require("node:net");
  const measure = () => new Promise((resolve, reject) => {
    const start = performance.now();
    const socket = connect(7, "10.9.0.2", () => socket.setNoDelay().write("x"));
    socket.on("error", reject).once("data", () => { socket.destroy(); resolve(performance.now() - start); });
  });
  (async () => {
    const times = [];
    for (let i = 0; i < 5; i += 1) times.push(await measure());
    console.log(Math.min(...times));
  })();`;

// Sends 2000 datagrams, twenty at a time, and prints how many come back.
const COUNT_ECHOES = `
  const udp = require("node:dgram").createSocket("udp4");
  let back = 0;
  udp.on("message", () => (back += 1));
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  udp.bind(0, async () => {
    for (let i = 1; i <= 2000; i += 1) {
      udp.send("x".repeat(i % 1400), 7, "10.9.0.2");
      const before = back;
      if (i % 20 === 0) for (let waited = 0; waited < 15 && back < before + 20; waited += 1) await pause(2);
    }
    setTimeout(() => { console.log(back); udp.close(); }, 500);
  });`;

async function twoNamespaces(): Promise<[NetworkNamespace, NetworkNamespace]> {
  const both = [await NetworkNamespace.make(), await NetworkNamespace.make()] as const;
  return [...both];
}

async function startEcho(namespace: NetworkNamespace): Promise<void> {
  await startProcess(process.execPath, ["-e", ECHO], { ...NOWHERE, namespace }).line(/^ready$/);
}

test.skipIf(!CAN_MAKE_NAMESPACES)("over a slow link a TCP connection and an echo cost two round trips", async () => {
  const [near, far] = await twoNamespaces();
  const ends = [
    { namespace: near, name: "np0", address: "10.9.0.1/24" },
    { namespace: far, name: "np0", address: "10.9.0.2/24" },
  ] as const;
  await using link = await SlowLink.join(ends);
  await startEcho(far);
  for (const [there, back] of [
    [0, 0],
    [50, 50],
    [20, 180],
  ] as const) {
    await link.set({ delayMs: there }, 0);
    await link.set({ delayMs: back }, 1);
    const ms = Number(await near.must(process.execPath, "-e", CONNECT_AND_ECHO));
    const expected = 2 * (there + back);
    expect(ms).toBeGreaterThanOrEqual(expected - 2);
    expect(ms).toBeLessThan(expected + 30); // a busy machine; 3 where it is idle
  }
});

test.skipIf(!CAN_MAKE_NAMESPACES)("a slow link loses as many packets as asked for, and all when cut", async () => {
  const [near, far] = await twoNamespaces();
  const ends = [
    { namespace: near, name: "np0", address: "10.9.0.1/24" },
    { namespace: far, name: "np0", address: "10.9.0.2/24" },
  ] as const;
  await using link = await SlowLink.join(ends);
  await startEcho(far);

  await near.must(process.execPath, "-e", COUNT_ECHOES);
  const [before] = await link.counts();
  expect(before.dropped).toBe(0);
  expect(before.passed).toBeGreaterThan(1500); // 2000, but buffers of a busy machine may run over

  await link.set({ loss: 0.1 });
  const back = Number(await near.must(process.execPath, "-e", COUNT_ECHOES));
  const [there] = await link.counts();
  const passed = there.passed - before.passed;
  const lost = there.dropped / (there.dropped + passed);
  expect(lost).toBeGreaterThan(0.07);
  expect(lost).toBeLessThan(0.13);
  expect(back / passed).toBeGreaterThan(0.7); // 0.9
  expect(back / passed).toBeLessThan(0.93);

  await link.cut();
  expect(Number(await near.must(process.execPath, "-e", COUNT_ECHOES))).toBe(0);
  await link.mend();
  await link.set({ loss: 0 });
  expect(Number(await near.must(process.execPath, "-e", COUNT_ECHOES))).toBeGreaterThan(1500);
});

test.skipIf(!CAN_MAKE_NAMESPACES)("programs run in a namespace and see its interfaces alone", async () => {
  const [near, far] = await twoNamespaces();
  await joinByVeth(
    { namespace: near, name: "np0", address: "10.9.0.1/24" },
    { namespace: far, name: "np7", address: "10.9.0.2/24" },
  );
  await startEcho(far);
  expect(Number(await near.must(process.execPath, "-e", CONNECT_AND_ECHO))).toBeGreaterThan(0);
  const names = (await far.ip("-brief", "link", "show")).split("\n").map((line) => line.split(/[@ ]/)[0]);
  expect(names).toEqual(["lo", "np7"]);

  const { pid } = near;
  await near[Symbol.asyncDispose]();
  expect(isRunning(pid)).toBe(false);
  // The cable went with its other end; the kernel takes it apart in its own time.
  await expect.poll(() => far.ip("-brief", "link", "show")).not.toContain("np7");
});
