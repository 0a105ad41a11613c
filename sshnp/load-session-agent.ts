import type { SessionAgent } from "./session-agent.ts";

/** The agent of a session's key, at `path` or in a folder of its own. What that takes is loaded now, for few sessions have one. */
export async function loadSessionAgent(path?: string): Promise<SessionAgent> {
  const [{ openSessionAgent, openSessionAgentAt }, { loadSuite }, { randomBytes }] = await Promise.all([
    import("./session-agent.ts"),
    import("../protocol/suite/load.ts"),
    import("node:crypto"),
  ]);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
  return path === undefined ? openSessionAgent(suite, random) : openSessionAgentAt(path, suite, random);
}
