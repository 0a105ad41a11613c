import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import { NETWORK_POLL_MS, SLEPT_MS } from "../../protocol/limits.ts";
import { type Addresses, hasAddress, type NetworkChange, watchNetwork } from "../../sshnpd/network-watch.ts";

test("it tells of other addresses and of sleep, of nothing else, and looks only while somebody listens", () => {
  let addresses: Addresses = new Set(["127.0.0.1", "192.0.2.1"]);
  let now = 0;
  let look: (() => void) | undefined;
  const network = watchNetwork({
    addresses: () => addresses,
    now: () => now,
    every: (ms, action) => {
      expect(ms).toBe(NETWORK_POLL_MS);
      look = action;
      return () => {
        look = undefined;
      };
    },
  });
  const told: NetworkChange[] = [];
  const tick = (late = 0): void => {
    now += NETWORK_POLL_MS + late;
    look?.();
  };

  expect(look).toBeUndefined();
  const forget = network.onChange((change) => told.push(change));
  tick();
  addresses = new Set(["192.0.2.1", "127.0.0.1"]); // in another order
  tick();
  tick(SLEPT_MS); // a busy machine
  expect(told).toEqual([]);

  addresses = new Set(["127.0.0.1"]);
  tick();
  expect(told.splice(0)).toEqual([{ addresses, hasNew: false, hasSlept: false }]);
  addresses = new Set(["127.0.0.1", "192.0.2.2"]);
  tick();
  tick();
  expect(told.splice(0)).toEqual([{ addresses, hasNew: true, hasSlept: false }]);
  tick(SLEPT_MS + 1);
  expect(told.splice(0)).toEqual([{ addresses, hasNew: false, hasSlept: true }]);
  tick();
  expect(told).toEqual([]);

  // The interfaces of containers that come and go.
  const machine = [...addresses];
  for (const one of ["fe80::42:acff:fe11:2", "FEBF::1", "fe9a:0:1::1", "169.254.7.7"]) {
    addresses = new Set([...machine, one]);
    tick();
  }
  addresses = new Set(machine);
  tick();
  expect(told).toEqual([]);
  for (const one of ["fec0::1", "fd00::1", "fe7f::1", "169.255.1.1", "2001:db8::fe80"]) {
    addresses = new Set([...machine, one]);
    tick();
  }
  expect(told.splice(0)).toHaveLength(5);
  // All that the machine has is told, since a link may go from a link-local address.
  addresses = new Set(["127.0.0.1", "fe80::1"]);
  tick();
  expect(told).toEqual([{ addresses, hasNew: false, hasSlept: false }]);

  forget();
  expect(look).toBeUndefined();
});

test("a kernel that does not tell is no change, at the first look or later, and sleep is told all the same", () => {
  let addresses: Addresses | undefined;
  let now = 0;
  let look = (): void => {};
  const network = watchNetwork({
    addresses: () => {
      if (addresses === undefined) throw new Error("A system error occurred: uv_interface_addresses returned 24");
      return addresses;
    },
    now: () => now,
    every: (_ms, action) => {
      look = action;
      return () => {};
    },
  });
  const told: NetworkChange[] = [];
  const tick = (late = 0): void => {
    now += NETWORK_POLL_MS + late;
    look();
  };
  network.onChange((change) => told.push(change));
  tick();
  expect(told).toEqual([]);
  tick(SLEPT_MS + 1);
  expect(told.splice(0)).toEqual([{ addresses: undefined, hasNew: false, hasSlept: true }]);

  const first = new Set(["192.0.2.1"]);
  addresses = first;
  tick();
  addresses = undefined;
  tick();
  expect(told).toEqual([]);
  tick(SLEPT_MS + 1);
  expect(told.splice(0)).toEqual([{ addresses: first, hasNew: false, hasSlept: true }]);
  addresses = new Set(["192.0.2.2"]);
  tick();
  expect(told).toEqual([{ addresses, hasNew: true, hasSlept: false }]);
});

test.each([
  ["192.0.2.1", true],
  ["192.0.2.10", false],
  ["::ffff:192.0.2.1", true],
  ["::FFFF:192.0.2.10", false],
  ["fe80::1", true],
  ["fe80::1%eth0", true],
  ["fe80::1%2", true],
  ["fe80::2%eth0", false],
  ["::ffff:1", true],
  ["2001:db8::1", false],
])("a socket's own address %s is this machine's: %s", (local, isOwn) => {
  expect(hasAddress(new Set(["127.0.0.1", "192.0.2.1", "fe80::1", "::ffff:1"]), local)).toBe(isOwn);
});

test("the address that Node prints of a socket is found among those that it lists, on each loopback interface", async () => {
  const all = Object.entries(networkInterfaces()).flatMap(([name, entries]) =>
    (entries ?? [])
      .filter(({ internal }) => internal)
      .map(({ address, scopeid }) => ({ address, host: scopeid ? `${address}%${name}` : address })),
  );
  expect(all).not.toEqual([]);
  const addresses = new Set(all.map(({ address }) => address));
  for (const { host } of all) {
    const server = createServer((socket) => socket.destroy()).listen(0, host);
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, host);
    await once(socket, "connect");
    expect(hasAddress(addresses, socket.localAddress ?? "none"), `${host}: ${socket.localAddress}`).toBe(true);
    socket.destroy();
    server.close();
  }
});
