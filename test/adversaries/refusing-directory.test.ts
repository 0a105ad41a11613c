/** A directory that answers everything with a refusal: that its log does not hold. Nothing shows that it is so, or is not. */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { LinkSealer } from "../../directory/link-sealing.ts";
import { ResponseStream } from "../../directory/response-stream.ts";
import { RECONNECT_FIRST_MS } from "../../protocol/limits.ts";
import { encodeLinkRefused } from "../../protocol/messages/link.ts";
import { LINK } from "../../protocol/messages/types.ts";
import type { Exit } from "../support/processes.ts";
import type { Machine } from "../support/stack.ts";
import { ForgingDirectory } from "./forging-directory.ts";
import { codeIn, type Outcome, runRows } from "./run.ts";

const DEVICE = { name: parseName("@device"), member: parseMember("mygateway") };
const CODE = "E_LOG";
const WHAT_NEXT = "Believe nothing new of this directory until whoever runs it has said why.";

let forger: ForgingDirectory;
beforeAll(async () => {
  forger = await ForgingDirectory.start();
});
afterEach(() => forger.rest());
afterAll(() => forger?.[Symbol.asyncDispose]());

runRows(import.meta.filename, {
  "it refuses every request of a client, as if its log did not hold": async () => {
    const client = forger.machine(forger.client);
    const refusals = refuseRequests();
    const outcome = await refused(await forger.connect(client), client);
    expect(refusals()).toBe(1); // it is not asked again, nor in another way
    forger.beHonest();
    await forger.startDaemon(forger.machine(forger.device));
    expect(await forger.connect(client)).toMatchObject({ code: 0 });
    return outcome;
  },
  "it refuses every request of a client that would wait, as if its log did not hold": async () => {
    const client = forger.machine(forger.client);
    const refusals = refuseRequests();
    const outcome = await refused(await forger.startSession(client, "--wait=1h").exit(), client);
    expect(refusals()).toBe(1);
    return outcome;
  },
  "it refuses a device that comes up, as if its log did not hold": async () => {
    const device = forger.machine(forger.device);
    const isRefused = refuseLinks();
    const daemon = await forger.startDaemon(device, { isUp: false });
    await isRefused;
    return await refused(await daemon.exit(), device, 76);
  },
  "it refuses a device that was linked, again and again, as if its log did not hold": async () => {
    const device = forger.machine(forger.device);
    const daemon = await forger.startDaemon(device);
    const tries = refuseLinks(4);
    forger.world.directory.presence.get(DEVICE)?.replace(); // whatever ends the link
    await tries;
    forger.beHonest();
    const client = forger.startSession(forger.machine(forger.client), "--wait=1h");
    client.stdin.end();
    expect(await client.exit()).toMatchObject({ code: 0 }); // the device has come back to the honest directory
    const lost = daemon.stderr.split("\n").filter((line) => line.includes('"msg":"offline"'));
    const told = lost.map((line) => JSON.parse(line) as { code: string; reason: string; wait: number });
    expect(told.length).toBeGreaterThanOrEqual(5);
    for (const [i, { reason, wait }] of told.entries()) {
      expect(reason).toBe("The directory refuses, and says that its own log does not hold.");
      expect(wait).toBeLessThan(RECONNECT_FIRST_MS * 2 ** i);
    }
    return { code: told.at(-1)?.code, evidence: (await forger.evidence(device)).length };
  },
});

/** A command that was refused has ended by itself, and says what to do; nobody can be convicted. */
async function refused({ code, stdout, stderr }: Exit, machine: Machine, status = 255): Promise<Outcome> {
  expect({ code, stdout }, stderr).toEqual({ code: status, stdout: "" });
  expect(stderr).toContain(WHAT_NEXT);
  return { code: codeIn(stderr), evidence: (await forger.evidence(machine)).length };
}

/** Has every answer to a message be a refusal; tells how many there were. */
function refuseRequests(): () => number {
  let count = 0;
  const end = honest(ResponseStream.prototype, "end");
  const refuse = function (this: ResponseStream): void {
    if (this.isOpen) count += 1;
    end.call(this, { type: "refused", code: CODE, detail: 0 });
  };
  forger.forge(ResponseStream.prototype, "end", refuse);
  forger.forge(ResponseStream.prototype, "send", refuse);
  return () => count;
}

/** Has every word on every link be a refusal, the welcome too; resolves when as many devices that came were refused. */
function refuseLinks(times = 1): Promise<void> {
  const seal = honest(LinkSealer.prototype, "seal");
  return new Promise((resolve) => {
    let count = 0;
    forger.forge(LinkSealer.prototype, "seal", function (this: LinkSealer, { type }) {
      if (type === LINK.welcome && ++count === times) resolve();
      const body = encodeLinkRefused({ code: CODE, time: Date.now(), nonce: new Uint8Array(16) });
      return seal.call(this, { type: LINK.refused, body });
    });
  });
}

function honest<Service extends object, Method extends keyof Service>(
  service: Service,
  method: Method,
): Service[Method] {
  return service[method];
}
