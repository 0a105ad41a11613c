import { connect, type Socket } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { InetdServer } from "../../sshnpd/inetd-server.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { serveStreams } from "./served-streams.ts";

// dropbear: sshd run by root wants /run/sshd, which is the system's
test("one client's streams take half of the servers that may run, and there is one for another client", async () => {
  await using folder = await temporaryFolder();
  const state = await PrivateFolder.openOrCreate(join(folder.path, "state"));
  const { signal } = new AbortController();
  const server = new InetdServer({ name: "dropbear" }, { state, ownKey: "@device.mygateway", signal }, 4);
  const login = userInfo().username;
  await using eves = await serveStreams(() => server, { client: "@eve", login, together: 5 });
  const ofEve = Array.from({ length: 5 }, () => outcome(eves.port));
  expect((await Promise.all(ofEve)).toSorted()).toEqual(["closed", "closed", "closed", "served", "served"]);
  await using bobs = await serveStreams(() => server, { client: "@bob", login });
  expect([await outcome(bobs.port), await outcome(bobs.port)]).toEqual(["served", "closed"]);
  await using carols = await serveStreams(() => server, { client: "@carol", login });
  expect(await outcome(carols.port)).toBe("served");
  expect(eves.lines.filter(({ msg }) => msg.startsWith("stream refused"))).toHaveLength(3);
});

function outcome(port: number): Promise<"served" | "closed"> {
  return new Promise((resolve) => {
    const socket: Socket = connect(port, "127.0.0.1").on("error", () => {});
    socket.once("data", () => resolve("served")).once("close", () => resolve("closed"));
  });
}
