import { once } from "node:events";
import { linkSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { basename, dirname, join } from "node:path";
import { SetupError } from "../keys/errors.ts";
import { AGENT_ANSWER_MS, AGENT_PASSES } from "../protocol/limits.ts";
import { MAX_SOCKET_PATH_BYTES } from "./socket-folder.ts";

/*
 * Several processes of one person have an agent each, and their ssh know one path for all. Each agent listens at a name of its
 * own beside the path, for as long as it may be asked; the path is a further link to the socket of one of them (link(2)).
 */

/** An agent's own name. */
interface Listening {
  readonly path: string;
  readonly pid: number;
  readonly inode: bigint;
  /** When it began to listen, ns. */
  readonly since: bigint;
}

/** Where this process is to listen. @throws {SetupError} E_USAGE when that is too long for unix(7). */
export function pathBeside(path: string): string {
  const mine = `${path}.${process.pid}`;
  const excess = Buffer.byteLength(mine) - MAX_SOCKET_PATH_BYTES;
  if (excess <= 0) return mine;
  throw new SetupError("E_USAGE", "The path of the keys folder is too long for a session key.", {
    next: `Use a shorter one with --keys: ${excess} bytes less will do.`,
  });
}

/** From now on this process, which listens already, stands at the path, whoever did before. */
export function takePath(path: string): void {
  standAt(path, pathBeside(path));
}

/**
 * This process is there no more. Where it stood at the path, the one that came last of those that live stands there when this
 * resolves, and where none is left, nothing is there. Names of killed processes that are met on the way go too. To be called while this
 * process still answers, so that nobody finds the path without an answer meanwhile.
 *
 * Processes may come and leave at the same time. The own name goes first, and each look is after the own change: of two that
 * leave, one sees what the other did. Whoever comes takes the path after having a name. A further look is made only after
 * another process came or left, and AGENT_PASSES bounds them.
 */
export async function leavePath(path: string): Promise<void> {
  rmSync(pathBeside(path), { force: true });
  for (let pass = 0; pass < AGENT_PASSES; pass++) {
    const standing = inodeOf(path);
    const next = await firstLiving(path, standing);
    if (next?.inode === standing) return;
    if (inodeOf(path) !== standing) continue;
    try {
      if (next === undefined) takeAway(path, standing);
      else standAt(path, next.path);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error; // it has left meanwhile
    }
  }
}

/** That nobody is seen to be away for an instant: rename(2) replaces. */
function standAt(path: string, socket: string): void {
  const aside = nameAside(path);
  rmSync(aside, { force: true });
  linkSync(socket, aside);
  renameSync(aside, path);
  rmSync(aside, { force: true }); // rename(2) does nothing where both are one socket
}

/** Whoever took the path since it was looked at, keeps it. */
function takeAway(path: string, standing: bigint | undefined): void {
  const aside = nameAside(path);
  renameSync(path, aside);
  if (inodeOf(aside) !== standing) renameSync(aside, path);
  rmSync(aside, { force: true }); // also where somebody has put the same socket there meanwhile
}

function nameAside(path: string): string {
  return `${path}.${process.pid}.new`;
}

/** The one that stands at the path if it lives and stays, else the one that came last. */
async function firstLiving(path: string, standing: bigint | undefined): Promise<Listening | undefined> {
  const rank = ({ inode, since }: Listening): bigint => (inode === standing ? FIRST : since);
  const all = listening(path).sort((one, other) => (rank(one) < rank(other) ? 1 : -1));
  for (const agent of all) {
    if (await answers(agent.path)) return agent;
    // One that runs has its name already, and is about to listen.
    if (!isRunning(agent.pid)) rmSync(agent.path, { force: true });
  }
  return undefined;
}

const FIRST = 2n ** 64n;

function listening(path: string): Listening[] {
  const prefix = `${basename(path)}.`;
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(prefix));
  return names.flatMap((name) => {
    const pid = name.slice(prefix.length);
    const beside = join(dirname(path), name);
    const stats = /^[0-9]+$/.test(pid) ? statSync(beside, { bigint: true, throwIfNoEntry: false }) : undefined;
    if (stats?.isSocket() !== true) return [];
    return [{ path: beside, pid: Number(pid), inode: stats.ino, since: stats.mtimeNs }];
  });
}

function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

/** connect(2) has its answer from the kernel, even when the process has no time: EAGAIN when too many wait for it already. */
async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(AGENT_ANSWER_MS) });
    return true;
  } catch (error) {
    return hasCode(error, "EAGAIN");
  } finally {
    socket.destroy();
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return hasCode(error, "EPERM");
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
