import type { WitnessOptions } from "../../../directory/client.ts";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import { listKeyFiles } from "../../../keys/end-key-files.ts";
import { SetupError, type SshnpError } from "../../../keys/errors.ts";
import type { MemberName, Name } from "../../../keys/names.ts";
import { PrivateFolder } from "../../../keys/private-folder.ts";
import { SshAgent } from "../../../keys/ssh-agent.ts";
import {
  type DirectoryAddress,
  directoryInEnvironment,
  parseDirectoryAddress,
} from "../../../protocol/directory-address.ts";
import { LOOK_MS, STATUS_CLIENTS } from "../../../protocol/limits.ts";
import { type Client, loadClient } from "../../client-keys.ts";
import { contactDirectory, type DirectoryContact } from "../../directory-contact.ts";
import { type Outcome, outcomeOf } from "../../outcome.ts";
import { noClientKeys } from "../../setup-texts.ts";
import { type Certificate, certificateOf } from "../doctor/network.ts";
import { isSshConfigured, proxyVariables, sshVersion } from "../doctor/surroundings.ts";

/** One client member in the keys folder. */
export interface ClientFact {
  readonly name: Name;
  readonly member: MemberName;
  /** When its binding ends, ms since 1970 UTC, null: never; undefined: a problem hides it. */
  readonly expires: number | null | undefined;
  /** As its key file or the command line says. */
  readonly directory: string | undefined;
  /** Why nobody can be this client now, by its files or by what the directory says of it. */
  readonly problem: SshnpError | undefined;
}

/** A directory of at least one of them, asked as the first. */
export interface DirectoryFact {
  readonly address: DirectoryAddress;
  readonly contact: Outcome<DirectoryContact>;
  /** Undefined without TLS. */
  readonly certificate: Outcome<Certificate> | undefined;
}

export interface Facts {
  readonly clients: readonly ClientFact[];
  readonly directories: readonly DirectoryFact[];
  readonly proxies: ReturnType<typeof proxyVariables>;
  /** How many keys ssh-agent has; undefined: SSH_AUTH_SOCK is not set. */
  readonly agent: Outcome<number> | undefined;
  readonly ssh: Outcome<string>;
  readonly isSshConfigured: Outcome<boolean>;
}

/**
 * What this machine is to sshnp, and how its directories look. Nobody is asked for a passphrase.
 * @throws {SetupError} E_NO_KEYS when there is no client at all, E_KEY_PERMISSIONS, E_BAD_KEY_FILE, E_USAGE.
 */
export async function gatherFacts(
  suite: CipherSuite,
  {
    keys,
    directory,
    witnesses,
  }: { readonly keys: string; readonly directory: string | undefined; readonly witnesses: WitnessOptions },
  only: Name | undefined,
  { signal }: { readonly signal: AbortSignal },
): Promise<Facts> {
  const found = await loadClients(suite, keys, only);
  const [directories, agent, ssh, configured] = await Promise.all([
    contactAll(suite, found, { directory, witnesses }, signal),
    agentKeys(suite),
    outcomeOf(() => sshVersion()),
    outcomeOf(() => isSshConfigured()),
  ]);
  const clients = found.map(({ fact, client }) => ({ ...fact, problem: fact.problem ?? said(client, directories) }));
  return { clients, directories, proxies: proxyVariables(process.env), agent, ssh, isSshConfigured: configured };
}

interface Found {
  readonly fact: ClientFact;
  readonly client: Client | undefined;
}

async function loadClients(suite: CipherSuite, path: string, only: Name | undefined): Promise<Found[]> {
  const folder = await PrivateFolder.open(path);
  const entries = folder === undefined ? [] : await listKeyFiles(folder, only);
  const found: Found[] = [];
  for (const entry of entries) {
    if (entry.kind !== "member" || entry.role === "device" || found.length === STATUS_CLIENTS) continue;
    const { name, member } = entry;
    const loaded = await outcomeOf(() => {
      if (entry.role === undefined) throw guarded(name, member);
      return loadClient(suite, path, name, () => Promise.reject(guarded(name, member)));
    });
    const unknown = { name, member, expires: undefined, directory: undefined };
    if ("error" in loaded) found.push({ fact: { ...unknown, problem: loaded.error }, client: undefined });
    else found.push({ fact: { ...factOf(loaded.value), member }, client: loaded.value });
  }
  if (found.length === 0) throw noClientKeys(only, path);
  return found;
}

function factOf({ keys: { name, member, directory }, standing }: Client): ClientFact {
  return { name, member, expires: standing.binding.statement.expires, directory, problem: undefined };
}

/** Each directory once. */
async function contactAll(
  suite: CipherSuite,
  found: readonly Found[],
  { directory: given, witnesses }: { readonly directory: string | undefined; readonly witnesses: WitnessOptions },
  signal: AbortSignal,
): Promise<DirectoryFact[]> {
  const stated = given ?? directoryInEnvironment(process.env)?.text;
  const addressOf = ({ keys }: Client): string => stated ?? keys.directory;
  const firsts = new Map<string, Client>();
  for (const { client } of found) {
    if (client !== undefined && !firsts.has(addressOf(client))) firsts.set(addressOf(client), client);
  }
  return await Promise.all(
    [...firsts].map(async ([text, client]): Promise<DirectoryFact> => {
      const address = parseDirectoryAddress(text);
      const isSecure = address.url.protocol === "https:";
      const [contact, certificate] = await Promise.all([
        outcomeOf(() => contactDirectory(suite, client, { directory: text, witnesses }, { signal })),
        isSecure ? outcomeOf(() => certificateOf(address.url)) : undefined,
      ]);
      return { address, contact, certificate };
    }),
  );
}

/** What the directory says of the client that asked it. */
function said(client: Client | undefined, directories: readonly DirectoryFact[]): SshnpError | undefined {
  if (client === undefined) return undefined;
  for (const { contact } of directories) {
    const own = "value" in contact && contact.value.client === client ? contact.value.own : undefined;
    if (own !== undefined && "error" in own) return own.error;
  }
  return undefined;
}

async function agentKeys(suite: CipherSuite): Promise<Outcome<number> | undefined> {
  if ((process.env["SSH_AUTH_SOCK"] ?? "") === "") return undefined;
  const agent = SshAgent.fromEnvironment(suite, process.env, { keysMs: LOOK_MS, signMs: LOOK_MS });
  return await outcomeOf(async () => (await agent.keys()).length);
}

function guarded(name: Name, member: MemberName): SetupError {
  return new SetupError(
    "E_PASSPHRASE",
    `The keys of ${member} of ${name} are guarded by a passphrase, which status does not ask for.`,
    {
      next: `Look with it: sshnp doctor ${name}`,
    },
  );
}
