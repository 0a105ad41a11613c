import { open } from "node:fs/promises";

/**
 * Tells which sockets listen on a TCP port of this machine, as a text that changes whenever a server there is started
 * anew: the inodes of the sockets, from the tables at `paths`, which are the kernel's. Undefined where there is none.
 */
export async function listeningSockets(port: number, paths = TABLES): Promise<string | undefined> {
  const tables = await Promise.all(paths.map((path) => readListening(path).catch(() => undefined)));
  if (tables.every((table) => table === undefined)) return undefined;
  return tables
    .flatMap((table) => parseListeningSockets(table ?? "", port))
    .toSorted()
    .join(" ");
}

/**
 * A table up to its first socket that does not listen. The kernel puts those that listen first and makes each piece when
 * it is read, so the thousands of connections that a busy machine may have cost nothing here.
 */
async function readListening(path: string): Promise<string> {
  const file = await open(path);
  try {
    const piece = Buffer.alloc(PIECE_BYTES);
    let table = "";
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, piece.length);
      table += piece.toString("latin1", 0, bytesRead);
      // Less than there was room for is the end. To be told so by one more read, the kernel would search all connections again.
      if (bytesRead < piece.length - LINE_BYTES || CONNECTED.test(table)) return table;
    }
  } finally {
    await file.close();
  }
}

const TABLES: readonly string[] = ["/proc/net/tcp", "/proc/net/tcp6"];
const PIECE_BYTES = 4096;
/** More than any line has. */
const LINE_BYTES = 512;
/** A line, whole, with another state than LISTEN: a piece may end in the middle of one, which may be one that listens. */
const CONNECTED = /^ *\d+: \S+ \S+ (?!0A )\S+ .*\n/m;

/**
 * The inodes of the sockets in one table of proc_net_tcp(5) that listen on `port`, on whatever address. A line reads
 * `sl local_address:PORT rem_address:PORT st tx:rx tr:when retrnsmt uid timeout inode ...`, numbers in hex but the last.
 */
export function parseListeningSockets(table: string, port: number): string[] {
  const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
  return table.split("\n").flatMap((line) => {
    const [, local, , state, , , , , , inode] = line.trim().split(/ +/);
    return state === LISTEN && local?.endsWith(`:${hexPort}`) === true && inode !== undefined ? [inode] : [];
  });
}

const LISTEN = "0A";
