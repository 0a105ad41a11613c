import { AGENT_KEYS_MS, AGENT_NOTICE_MS, AGENT_SIGN_MS } from "../../protocol/limits.ts";
import type { CipherSuite } from "../cipher-suite.ts";
import { agentSigner, type OwnerKeyInAgent, type OwnerSigner, type SigningWait } from "../owner-signer.ts";
import { SshAgent } from "../ssh-agent.ts";

/**
 * The owner key of a command's `--owner-key`, out of the SSH agent that SSH_AUTH_SOCK names. Whatever a person has to do
 * for a signature is said on stderr. Throws as {@link SshAgent.fromEnvironment} and {@link agentSigner}.
 */
export async function ownerInAgent(
  suite: CipherSuite,
  key: OwnerKeyInAgent,
  { signal }: { readonly signal: AbortSignal },
): Promise<OwnerSigner> {
  const agent = SshAgent.fromEnvironment(suite, process.env, { keysMs: AGENT_KEYS_MS, signMs: AGENT_SIGN_MS });
  return await agentSigner(suite, agent, key, { onWait: tellWait, noticeMs: AGENT_NOTICE_MS, signal });
}

function tellWait(wait: SigningWait): void {
  process.stderr.write(`${WORDS[wait]}\n`);
}

const WORDS: Readonly<Record<SigningWait, string>> = {
  touch: "Touch the token, please: it is to sign.",
  answer: "The SSH agent is silent; perhaps it asks you something.",
};
