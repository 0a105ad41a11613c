import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RendezvousAddress } from "../../protocol/rendezvous-address.ts";
import { lookAtRendezvous } from "../../rendezvous/client.ts";
import { serve, type Serving } from "./serving.ts";

let serving: Serving;
/** Takes every connection and says what it is told to. */
let other: Server;
let words = "";
beforeAll(async () => {
  serving = await serve();
  other = createServer((socket) => socket.on("error", () => {}).end(words)).listen(0, "127.0.0.1");
  await once(other, "listening");
});
afterAll(async () => {
  await serving[Symbol.asyncDispose]();
  other.close();
});

test.each(["tcp", "ws"] as const)(
  "a rendezvous is seen to be one over %s, and goes on as it was",
  async (transport) => {
    await look({ transport, host: "127.0.0.1", port: serving.port });
    await look({ transport, host: "127.0.0.1", port: serving.port });
  },
);

test("what takes connections and says nothing, or something else, is none, nor is a port where nobody listens", async () => {
  const { port } = other.address() as AddressInfo;
  const address = { transport: "tcp", host: "127.0.0.1", port } as const;
  await expect(look(address)).rejects.toMatchObject({ code: "E_RENDEZVOUS" });
  words = "HTTP/1.1 400 Bad Request\r\n\r\n";
  await expect(look(address)).rejects.toMatchObject({ code: "E_PROTOCOL" });
  await expect(look({ ...address, transport: "ws" })).rejects.toMatchObject({ code: "E_RENDEZVOUS" });
  await expect(look({ ...address, port: 1 })).rejects.toMatchObject({ code: "E_RENDEZVOUS" });
});

test("a private address is not looked at where it must not be dialled", async () => {
  const address = { transport: "tcp", host: "127.0.0.1", port: serving.port } as const;
  const looking = lookAtRendezvous(address, { allowPrivate: false, signal: AbortSignal.timeout(20_000) });
  await expect(looking).rejects.toMatchObject({ code: "E_RENDEZVOUS" });
});

function look(address: RendezvousAddress): Promise<void> {
  return lookAtRendezvous(address, { allowPrivate: true, signal: AbortSignal.timeout(20_000) });
}
