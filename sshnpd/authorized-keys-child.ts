/*
 * A process of its own, started by a daemon that runs as root: becomes the user whose authorized_keys gets a line, for
 * good and ahead of touching any file, so that no link of that user leads root anywhere. It starts as root, and not as
 * the user, because the user need not be able to read Node and this file. One JSON object comes on stdin and one goes to
 * stdout, see authorized-keys-order.ts.
 */
import { text } from "node:stream/consumers";
import * as v from "valibot";
import { SetupError } from "../keys/errors.ts";
import { parsePublicKeyLine } from "../keys/openssh.ts";
import { addAuthorizedKey } from "./authorized-keys.ts";
import { type ChildAnswer, childOrderSchema } from "./authorized-keys-order.ts";

process.stdout.write(JSON.stringify(await carryOut(await text(process.stdin))));

async function carryOut(input: string): Promise<ChildAnswer> {
  try {
    const { login, uid, gid, home, key, comment } = v.parse(childOrderSchema, JSON.parse(input));
    becomeUser(login, uid, gid);
    return { added: await addAuthorizedKey(home, parsePublicKeyLine(key), comment) };
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    const code = error.code === "E_KEY_PERMISSIONS" ? error.code : "E_STORAGE";
    return { code, fact: error.message, next: error.next ?? "" };
  }
}

function becomeUser(login: string, uid: number, gid: number): void {
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
  const [user, group] = [process.geteuid?.(), process.getegid?.()];
  if (user !== uid || process.getuid?.() !== uid || group !== gid || process.getgid?.() !== gid) {
    throw new SetupError("E_STORAGE", `Cannot become user ${login}.`, { next: "Run sshnpd as that user." });
  }
}
