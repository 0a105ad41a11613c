import { link, rm, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { basename, isAbsolute } from "node:path";
import { SetupError, SshnpError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
import { parsePublicKeyLine } from "../keys/openssh.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import { HOST_KEYS, SSH_KEY_BYTES } from "../protocol/limits.ts";
import { findProgram, outputOf } from "./programs.ts";
import { readSshdConfiguration } from "./sshd-configuration.ts";

export const INETD_PROGRAMS = ["sshd", "dropbear"] as const;

/** A server that serves one connection on its standard input and output, and the host keys that it has then. */
export interface InetdProgram {
  readonly name: (typeof INETD_PROGRAMS)[number];
  readonly file: string;
  readonly words: readonly string[];
  /** Public key blobs, one at least. */
  readonly hostKeys: readonly Uint8Array[];
  /** The only user who can log in; undefined: any. */
  readonly onlyLogin: string | undefined;
}

/** Which server that is, by the name of its file. @throws {SetupError} E_USAGE when it is neither. */
export function parseInetdProgram(file: string): Pick<InetdProgram, "name" | "file"> {
  const name = INETD_PROGRAMS.find((known) => known === basename(file));
  if (name === undefined || !isAbsolute(file)) {
    throw new SetupError("E_USAGE", `${quoted(file)} is no SSH server that can be started.`, {
      next: "Give the whole path of sshd or dropbear, such as /usr/sbin/dropbear.",
    });
  }
  return { name, file };
}

export interface InetdSurroundings {
  /** Where host keys of our own are kept. */
  readonly state: PrivateFolder;
  /** Begins the names of their files; one of them for each member. */
  readonly ownKey: string;
  readonly signal: AbortSignal;
}

/** A server by its name, and where it is if that was said. */
export type Wanted = Pick<InetdProgram, "name"> & { readonly file?: string };

/**
 * How to start this server as the user who runs this: root takes the system's configuration and host keys, so that a client
 * meets the keys that it would meet on the SSH port; anybody else own ones, which are made once, and lets in itself alone.
 * Undefined when it is not installed.
 * @throws {SetupError} E_NO_SSH when it does not run as things are; E_STORAGE.
 */
export async function inetdProgram(
  { name, file: given }: Wanted,
  surroundings: InetdSurroundings,
): Promise<InetdProgram | undefined> {
  const file = given ?? (await findProgram(name));
  if (file === undefined) return undefined;
  const isRoot = process.geteuid?.() === 0;
  const onlyLogin = isRoot ? undefined : userInfo().username;
  const { words, hostKeys } = await (name === "sshd" ? sshd : dropbear)(file, isRoot, surroundings);
  if (hostKeys.length === 0) {
    throw new SetupError("E_NO_SSH", `The host keys of ${name} cannot be told.`, {
      next: "Make new ones, or say why: sshnpd -v",
    });
  }
  return { name, file, words, hostKeys: hostKeys.slice(0, HOST_KEYS), onlyLogin };
}

type Found = Pick<InetdProgram, "words" | "hostKeys">;

async function sshd(file: string, isRoot: boolean, surroundings: InetdSurroundings): Promise<Found> {
  const { signal } = surroundings;
  const words = ["-i", "-e"];
  if (!isRoot) {
    const path = await ownKey("sshd", surroundings);
    return {
      words: [...words, "-f", "/dev/null", "-h", path, ...ORDINARY],
      hostKeys: await publicHalves("sshd", [path], signal),
    };
  }
  const configuration = await readSshdConfiguration(file, [], signal);
  if (configuration === "no host keys") {
    const path = await ownKey("sshd", surroundings);
    return { words: [...words, "-h", path], hostKeys: await publicHalves("sshd", [path], signal) };
  }
  return { words, hostKeys: await publicHalves("sshd", configuration.get("hostkey") ?? [], signal) };
}

/** What a server of one user's own has to say otherwise than by default; passwords are not for it to read. */
const ORDINARY = [
  "AuthorizedKeysFile=.ssh/authorized_keys .ssh/authorized_keys2",
  "PasswordAuthentication=no",
  "KbdInteractiveAuthentication=no",
  "UsePAM=no",
  "PidFile=none",
  "AcceptEnv=LANG LC_*",
  "Subsystem=sftp internal-sftp",
].flatMap((option) => ["-o", option]);

async function dropbear(_file: string, isRoot: boolean, surroundings: InetdSurroundings): Promise<Found> {
  const { signal } = surroundings;
  if (isRoot) {
    const present = await Promise.all(
      DROPBEAR_KEYS.map((path) =>
        stat(path).then(
          () => [path],
          () => [],
        ),
      ),
    );
    const hostKeys = await publicHalves("dropbear", present.flat(), signal);
    if (hostKeys.length > 0) return { words: ["-i"], hostKeys };
  }
  const path = await ownKey("dropbear", surroundings);
  const hostKeys = await publicHalves("dropbear", [path], signal);
  return { words: ["-i", "-r", path, ...(isRoot ? [] : ["-s"])], hostKeys };
}

const DROPBEAR_KEYS = ["ed25519", "ecdsa", "rsa"].map((type) => `/etc/dropbear/dropbear_${type}_host_key`);

/** The path of our own host key for this program, each in its own format; made when it is not there yet. */
async function ownKey(name: InetdProgram["name"], { state, ownKey: word, signal }: InetdSurroundings): Promise<string> {
  const file = `${name}-host-key.${word}`;
  const path = state.pathOf(file);
  if ((await state.read(file, SSH_KEY_BYTES)) !== undefined) return path;
  const unfinished = `${path}.${process.pid}.unfinished`;
  await rm(unfinished, { force: true });
  const [maker, words] =
    name === "sshd"
      ? ["ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", unfinished]]
      : ["dropbearkey", ["-t", "ed25519", "-f", unfinished]];
  const { stderr, isFine } = await outputOf(await toolFor(maker), words, signal);
  if (!isFine)
    throw new SetupError("E_STORAGE", `A host key cannot be made: ${stderr.trimEnd()}`, {
      next: "Check the free space of the keys folder.",
    });
  // `sshnpd check` may have made one at the same moment: then that is the one.
  await link(unfinished, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  for (const leftover of [unfinished, `${unfinished}.pub`]) await rm(leftover, { force: true });
  return path;
}

/** The public halves of private host keys, by the tool that reads them; a file that cannot be read has none. */
async function publicHalves(
  name: InetdProgram["name"],
  paths: readonly string[],
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const [tool, options] = name === "sshd" ? ["ssh-keygen", ["-y", "-P", ""]] : ["dropbearkey", ["-y"]];
  const file = await toolFor(tool);
  const texts = await Promise.all(paths.map((path) => outputOf(file, [...options, "-f", path], signal)));
  return texts
    .flatMap(({ stdout }) => parsePublicHalf(stdout) ?? [])
    .toSorted((a, b) => (a.line < b.line ? -1 : 1)) // as those that a scan finds
    .map(({ blob }) => blob)
    .filter((blob) => blob.length <= SSH_KEY_BYTES);
}

/** The public key among what ssh-keygen -y or dropbearkey -y prints, if there is one. */
export function parsePublicHalf(text: string): ReturnType<typeof parsePublicKeyLine> | undefined {
  for (const line of text.split("\n")) {
    try {
      return parsePublicKeyLine(line);
    } catch (error) {
      if (!(error instanceof SshnpError)) throw error;
    }
  }
  return undefined;
}

async function toolFor(name: string): Promise<string> {
  const file = await findProgram(name);
  if (file !== undefined) return file;
  const debian = name === "ssh-keygen" ? "openssh-client" : "dropbear-bin";
  throw new SetupError("E_NO_SSH", `${name} is not installed.`, {
    next: `Install it (Debian: apt-get install ${debian}).`,
  });
}
