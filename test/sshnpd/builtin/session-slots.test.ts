/** How many sessions of one connection are under way at once, whatever its client closes meanwhile. */
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Client, ClientChannel } from "ssh2";
import { BUILTIN_LEFT_MS, BUILTIN_SESSIONS } from "../../../protocol/limits.ts";
import { descendants } from "../../support/open-files.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import { authorize, Harness, loggedIn } from "./harness.ts";

/** Nothing is started before SIGUSR2. */
const SLOW_STARTS = `
const files = await import("node:fs/promises");
const { default: mutable, mkdtemp } = files;
const go = new Promise((resolve) => process.once("SIGUSR2", resolve));
let starting = 0;
mutable.mkdtemp = async (...words) => {
  console.log("starting " + ++starting);
  await go;
  return await mkdtemp(...words).finally(() => starting--);
};
(await import("node:module")).syncBuiltinESMExports();
`;

/** What has been hung up is given up at SIGUSR2. */
const LATE_END = `
const { setTimeout: wait } = globalThis;
globalThis.setTimeout = (callback, ms, ...rest) => {
  if (ms === ${BUILTIN_LEFT_MS}) process.once("SIGUSR2", callback);
  return wait(ms === ${BUILTIN_LEFT_MS} ? () => {} : callback, ms, ...rest);
};
process.setMaxListeners(0);
`;

describe("sessions that their client has closed", { skip: !CAN_MAKE_USERS, timeout: 60_000 }, () => {
  let user: OrdinaryUser;
  beforeEach(async () => {
    user = await ordinaryUser();
  });
  afterEach(() => user.remove());

  const start = async (prelude: string): Promise<Harness> => {
    const server = await Harness.start({ prelude });
    await authorize(user, await server.publicKey);
    return server;
  };

  test("count while what they asked for is being started: 200 times open, exec and close in one go", async () => {
    await using server = await start(SLOW_STARTS);
    const client = await loggedIn(server, user.name);
    const answers = Array.from({ length: 200 }, (_value, number) => openExecClose(client, number));
    const accepted = (await Promise.all(answers)).filter((isAccepted) => isAccepted);
    expect(accepted.length).toBe(BUILTIN_SESSIONS);
    await server.process.line(new RegExp(`^starting ${BUILTIN_SESSIONS}$`));
    expect(await started(client, "true")).toBe(false);
    process.kill(server.process.pid, "SIGUSR2");
    let running = 0;
    await expect
      .poll(async () => (running += (await started(client, "exec sleep 1000")) ? 1 : 0), {
        timeout: 20_000,
        interval: 1,
      })
      .toBe(BUILTIN_SESSIONS);
    expect(await started(client, "true")).toBe(false);
    const most = server.process.stdout.matchAll(/^starting ([0-9]+)$/gm);
    expect(Math.max(...[...most].map(([, count]) => Number(count)))).toBe(BUILTIN_SESSIONS);
    client.end();
  });

  test("count until their program has ended, or has had its time since the hangup", async () => {
    await using server = await start(LATE_END);
    const client = await loggedIn(server, user.name);
    const programs = (): number => descendants(server.process.pid).filter(({ uid }) => uid === user.uid).length;
    const fill = async (command: string): Promise<ClientChannel[]> => {
      const channels: ClientChannel[] = [];
      // One by one: those before may not have given all slots back yet.
      await expect
        .poll(async () => channels.push(...(await saysUp(client, command))), { timeout: 20_000, interval: 1 })
        .toBe(BUILTIN_SESSIONS);
      return channels;
    };
    for (const channel of await fill("echo up; exec sleep 1000")) channel.close();
    const stubborn = await fill("trap '' HUP; echo up; exec sleep 1000");
    const closed = stubborn.map((channel) => once(channel, "close"));
    for (const channel of stubborn) channel.close();
    await Promise.all(closed);
    expect((await saysUp(client, "echo up")).length).toBe(0);
    expect(programs()).toBe(BUILTIN_SESSIONS);
    process.kill(server.process.pid, "SIGUSR2");
    await fill("echo up; exec sleep 1000");
    expect(programs()).toBe(BUILTIN_SESSIONS * 2); // nohup(1) makes programs go on
    client.end();
  });
});

/** What the types of ssh2 leave out of its client. */
interface Inside {
  readonly _protocol: {
    session(channel: number, window: number, packetBytes: number): void;
    exec(channel: number, command: string, wantsReply: boolean): void;
    channelClose(channel: number): void;
  };
  readonly _chanMgr: { add(then: (error: Error | undefined) => void): number };
}

/** Without waiting for an answer, so by the number that the server will give; resolves with whether it has accepted. */
function openExecClose(client: Client, number: number): Promise<boolean> {
  const { _chanMgr: channels, _protocol: protocol } = client as unknown as Inside;
  return new Promise((resolve) => {
    const own = channels.add((error) => resolve(error === undefined));
    protocol.session(own, 1024 * 1024, 32 * 1024);
    protocol.exec(number, "exec sleep 1000", false);
    protocol.channelClose(number);
  });
}

async function started(client: Client, command: string): Promise<boolean> {
  return await new Promise((resolve) => client.exec(command, (error) => resolve(error === undefined)));
}

/** A session whose command has said so; none when it was refused. */
async function saysUp(client: Client, command: string): Promise<[ClientChannel] | []> {
  const channel = await new Promise<ClientChannel | undefined>((resolve) => {
    client.exec(command, (_error, opened: ClientChannel | undefined) => resolve(opened));
  });
  if (channel === undefined) return [];
  channel.on("error", () => {});
  expect(String(await once(channel, "data"))).toBe("up\n");
  return [channel];
}
