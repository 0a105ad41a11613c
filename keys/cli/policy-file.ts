import { open } from "node:fs/promises";
import { POLICY_BYTES } from "../../protocol/limits.ts";
import type { UnknownZones } from "../../protocol/policy/parse-hours.ts";
import type { Policy } from "../../protocol/policy/policy.ts";
import { SetupError } from "../errors.ts";
import type { Name } from "../names.ts";
import { shellWord } from "../shell-word.ts";

/** A policy and its text. */
export interface PolicyFile {
  readonly text: string;
  readonly policy: Policy;
}

/** Reads a policy that somebody has written. @throws {SetupError} E_POLICY with line and column; E_USAGE when there is no file. */
export async function readPolicyFile(path: string): Promise<PolicyFile> {
  const text = await readText(path);
  return { text, policy: await policyOf(text, "refuse") };
}

/** The parser is loaded when there is something to parse. @throws {SetupError} E_POLICY. */
export async function policyOf(text: string, unknownZones: UnknownZones): Promise<Policy> {
  const { parsePolicy } = await import("../../protocol/policy/parse.ts");
  return parsePolicy(text, { unknownZones });
}

/** What is to be known of a name whose newest policy is by an owner key of before. */
export function orphanedPolicy(name: Name): string {
  return `The newest policy of ${name} is by an owner key that was rotated away: it counts as none, and no device lets anybody in.`;
}

async function readText(path: string): Promise<string> {
  const bytes = await firstBytes(path, POLICY_BYTES + 1);
  if (bytes.length > POLICY_BYTES) {
    throw new SetupError(
      "E_POLICY",
      `${shellWord(path)} is too long for a policy: it has more than ${POLICY_BYTES} bytes.`,
      {
        next: "Put shared lists into groups and tags, and take out what is granted twice.",
      },
    );
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SetupError("E_POLICY", `${shellWord(path)} is not UTF-8 text.`, { next: "Save it as UTF-8.", cause });
  }
}

async function firstBytes(path: string, most: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(most);
  try {
    await using file = await open(path);
    for (let length = 0; ; ) {
      const { bytesRead } = await file.read(bytes, length, most - length);
      length += bytesRead;
      if (bytesRead === 0 || length === most) return bytes.subarray(0, length);
    }
  } catch (cause) {
    throw new SetupError("E_USAGE", `The policy ${shellWord(path)} cannot be read.`, {
      next: "Check the path and who may read it.",
      cause,
    });
  }
}
