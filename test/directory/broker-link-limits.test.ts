import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { openBrokerLink } from "../../directory/client.ts";
import { BrokerOrder } from "../../directory/client/broker-order.ts";
import { BROKER_AHEAD } from "../../protocol/limits.ts";
import { freePort } from "../support/free-port.ts";
import { NO_POLICY, patience, World } from "./world.ts";

test("a directory that does not say its keys is waited for no longer than the broker's way may take", async () => {
  await using world = await World.start();
  const { name, member, x25519: sender } = await world.activated("@device", "mygateway", "device");
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket.on("error", () => {})));
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  try {
    const address = { ...world.address, url: new URL(`http://127.0.0.1:${port}`) };
    const broker = { url: new URL(`mqtt://127.0.0.1:${await freePort()}`) };
    const opening = openBrokerLink({
      ...{ client: world.client({ address }), sender, broker, signal: patience(), limitMs: 300 },
      hello: { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY },
    });
    await expect(opening).rejects.toMatchObject({
      ...{ code: "E_DIRECTORY", message: "The directory's key list was not to be had in time." },
    });
    expect(sockets).not.toEqual([]);
  } finally {
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});

test("a gap counts once, however much comes after it, and nothing of that is kept", () => {
  const order = new BrokerOrder<number>();
  const taken = Array.from({ length: 100 }, (_, i) => order.take(i + 2, i));
  expect(taken.filter((due) => due === "lost")).toHaveLength(1);
  expect(taken.indexOf("lost")).toBe(BROKER_AHEAD);
  expect(order.take(1, 0)).toEqual([]);
  expect(order.hasGap).toBe(false);
});
