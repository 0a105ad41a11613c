import { readAcknowledged } from "../keys/activation-files.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import {
  type AskPassphrase,
  type KeyFileEntry,
  listKeyFiles,
  type MemberKeys,
  readMemberFile,
} from "../keys/end-key-files.ts";
import { listApplicants, readApplicant, stillWaiting } from "../keys/enrolment-files.ts";
import { SetupError } from "../keys/errors.ts";
import type { Name } from "../keys/names.ts";
import { readOwnStatements } from "../keys/own-statement-files.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { enrolmentCode } from "../protocol/enrolment.ts";
import { judgeOwn, type OwnKeys, type OwnStanding, statementsIn } from "../protocol/own-standing.ts";
import { noClientKeys, severalClients } from "./setup-texts.ts";

/** Who asks for a session. */
export interface Client {
  readonly folder: PrivateFolder;
  readonly keys: MemberKeys;
  /** By the newest statements that this machine has. */
  readonly standing: OwnStanding;
}

/**
 * The client member in the keys folder: the one of `client`, or the only one. `onKeys` is told of its key file, before
 * its activation and its statements are read.
 * @throws {SetupError} E_NO_KEYS, E_NOT_ACTIVATED, E_USAGE when there are several, and those of key files.
 */
export async function loadClient(
  suite: CipherSuite,
  path: string,
  client: Name | undefined,
  askPassphrase: AskPassphrase,
  onKeys?: (keys: MemberKeys) => void,
): Promise<Client> {
  const folder = await PrivateFolder.open(path);
  if (folder === undefined) throw noClientKeys(client, path);
  const entry = await chooseClient(suite, folder, client);
  const keys = await readMemberFile(suite, folder, entry, askPassphrase);
  if (keys?.role !== "client") throw noClientKeys(client, path);
  onKeys?.(keys);
  if ((await readAcknowledged(folder, entry)) === false) {
    throw new SetupError("E_NOT_ACTIVATED", `The activation of ${keys.name} was begun here and never confirmed.`, {
      next: `Finish it with the same secret: sshnp-keys activate -a ${keys.name} -c SECRET`,
    });
  }
  const newer = await readOwnStatements(folder, keys);
  const own = { ...ownKeys(keys), owner: newer?.owner ?? keys.owner };
  return { folder, keys, standing: judgeOwn(suite, own, newer ?? statementsIn(keys), undefined) };
}

type MemberEntry = Extract<KeyFileEntry, { readonly kind: "member" }>;

async function chooseClient(suite: CipherSuite, folder: PrivateFolder, client: Name | undefined): Promise<MemberEntry> {
  const clients = (await listKeyFiles(folder, client)).filter(
    // A passphrase hides the role; reading tells.
    (entry): entry is MemberEntry => entry.kind === "member" && entry.role !== "device",
  );
  const sure = clients.filter((entry) => entry.role === "client");
  const [entry, ...others] = sure.length > 0 ? sure : clients;
  if (entry === undefined) {
    await refuseWhileWaiting(suite, folder, client);
    const all = client === undefined ? [] : await listKeyFiles(folder);
    const names = all.flatMap((other) => (other.kind === "member" && other.role === "client" ? [other.name] : []));
    throw noClientKeys(client, folder.path, [...new Set(names)]);
  }
  if (others.length > 0)
    throw severalClients(
      [entry, ...others].map(({ name }) => name),
      folder.path,
    );
  return entry;
}

/** @throws {SetupError} E_NO_KEYS when a client was asked for in this folder, and its owner has not let it in yet. */
async function refuseWhileWaiting(suite: CipherSuite, folder: PrivateFolder, client: Name | undefined): Promise<void> {
  for (const one of await listApplicants(folder)) {
    const applicant = client === undefined || client === one.name ? await readApplicant(suite, folder, one) : undefined;
    if (applicant?.role !== "client") continue;
    const { x25519, ed25519 } = applicant;
    const code = enrolmentCode(suite, { ...applicant, x25519: x25519.publicKey, ed25519: ed25519.publicKey });
    throw stillWaiting(applicant, { folder: folder.path, code });
  }
}

/** The public side of a member's key file. */
export function ownKeys({ name, member, x25519, ed25519, owner }: MemberKeys): OwnKeys {
  return { name, member, x25519: x25519.publicKey, ed25519: ed25519.publicKey, owner };
}
