import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

const given = new Set<number>();

/** A port of 127.0.0.1 that nobody listens on now, and another one each time. For programs that must be told one; all others
 * take port 0. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  if (given.has(port)) return freePort(); // the kernel may draw the same one twice
  given.add(port);
  return port;
}
