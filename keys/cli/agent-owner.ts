import { AGENT_KEYS_MS, AGENT_NOTICE_MS, AGENT_SIGN_MS } from "../../protocol/limits.ts";
import type { CipherSuite } from "../cipher-suite.ts";
import { agentSigner, type OwnerKeyInAgent, type OwnerSigner, type SigningWait } from "../owner-signer.ts";
import { SshAgent } from "../ssh-agent.ts";

/** What signs with an owner key in the SSH agent of SSH_AUTH_SOCK. Throws as {@link agentSigner}. */
export async function ownerInAgent(
  suite: CipherSuite,
  key: OwnerKeyInAgent,
  signal: AbortSignal,
): Promise<OwnerSigner> {
  const agent = SshAgent.fromEnvironment(suite, process.env, { keysMs: AGENT_KEYS_MS, signMs: AGENT_SIGN_MS });
  return await agentSigner(suite, agent, key, { onWait: tellWait, noticeMs: AGENT_NOTICE_MS, signal });
}

function tellWait(wait: SigningWait): void {
  process.stderr.write(
    wait === "touch"
      ? "Touch the token, please: it is to sign.\n"
      : "The SSH agent is silent; perhaps it asks you something.\n",
  );
}
