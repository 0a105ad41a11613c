// Proxies' agents: node script.mjs PATH. Comes and leaves as standard input says, a line of words at a time, and answers each
// line with its number and the public key.
import { getRandomValues } from "node:crypto";
import { createInterface } from "node:readline";
import { nativeSuite } from "../../protocol/suite/native.ts";
import { openSessionAgentAt, type SessionAgent } from "../../sshnp/session-agent.ts";

const path = process.argv[2] ?? "";
let agent: SessionAgent | undefined;
let lines = 0;
process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  for (const word of line.split(" ")) {
    if (word === "leave") await agent?.close();
    else {
      agent = openSessionAgentAt(path, nativeSuite, (length) => getRandomValues(new Uint8Array(length)));
      agent.certified(agent.blob); // ssh-add takes it for one more key
    }
  }
  lines += 1;
  process.stdout.write(`${lines} ${Buffer.from(agent?.blob ?? []).toString("base64")}\n`);
}
