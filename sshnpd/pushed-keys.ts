import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import * as v from "valibot";
import { SetupError } from "../keys/errors.ts";
import type { PublicKeyLine } from "../keys/openssh.ts";
import type { Account } from "./accounts.ts";
import { type ChildOrder, childAnswerSchema } from "./authorized-keys-order.ts";

/**
 * Adds a key that a client pushed to the authorized_keys of an account: in this process for the daemon's own user, in a
 * child that becomes the user for any other, which only root can have. See addAuthorizedKey.
 *
 * `comment` has no white space.
 * @returns whether the key was added, rather than there already.
 * @throws {SetupError} E_KEY_PERMISSIONS, E_STORAGE.
 */
export async function acceptPushedKey(account: Account, key: PublicKeyLine, comment: string): Promise<boolean> {
  if (account.uid === process.geteuid?.()) {
    const { addAuthorizedKey } = await import("./authorized-keys.ts");
    return await addAuthorizedKey(account.home, key, comment);
  }
  return await inChild({ ...account, key: key.line, comment });
}

/** Longer than the child itself waits for the lock. */
const CHILD_MS = 30_000;

async function inChild(order: ChildOrder): Promise<boolean> {
  const file = fileURLToPath(new URL("./authorized-keys-child.js", import.meta.url));
  // An environment of its own: nothing of ours, such as the name of a passphrase file, reaches a process of the user.
  const env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin" };
  const child = spawn(process.execPath, [file], {
    cwd: "/",
    env,
    stdio: ["pipe", "pipe", "ignore"],
    timeout: CHILD_MS,
  });
  // Where descriptors have run out there are no streams at all, whatever the types say; the error comes next.
  const { stdin, stdout } = child as { readonly stdin?: Writable; readonly stdout?: Readable };
  stdin?.on("error", () => {}); // it may end without reading; its answer, or the lack of one, tells
  stdin?.end(JSON.stringify(order));
  const [answer] = await Promise.all([stdout === undefined ? "" : text(stdout), once(child, "close")]).catch(() => [
    "",
  ]);
  const result = v.safeParse(childAnswerSchema, parseJson(answer));
  if (!result.success) {
    throw new SetupError("E_STORAGE", `The helper that writes the authorized_keys of ${order.login} failed.`, {
      next: "Look at this machine's free memory and at the installation of sshnp.",
    });
  }
  if ("added" in result.output) return result.output.added;
  throw new SetupError(result.output.code, result.output.fact, { next: result.output.next });
}

function parseJson(answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    return undefined;
  }
}
