import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hashOf, writeKeystream } from "../../support/keystream.ts";
import { CAN_MAKE_USERS } from "../../support/ordinary-user.ts";
import type { Stack } from "../../support/stack.ts";
import { DEVICE_MODES, HOST, Person, startDevice } from "./person.ts";

const SESSIONS = 20;
const FILES = 2_000;
const GIB = 1024 * 1024 * 1024;

describe.each(DEVICE_MODES)("with a device in mode %s", (mode) => {
  const once = mode === "tcp" ? test : undefined;
  let stack: Stack;
  beforeAll(async () => {
    stack = await startDevice(mode);
  });
  afterAll(() => stack[Symbol.asyncDispose]());

  describe(mode === "tcp" ? "whoever runs the tests" : "a user with connections of their own", () => {
    let person: Person;
    beforeAll(async () => {
      const options = ["--control-master", "no"];
      person = mode === "tcp" ? await Person.withFile(stack, ...options) : await Person.ordinary(stack, ...options);
    });
    afterAll(() => person[Symbol.asyncDispose]());

    test("has 20 sessions at once, each with a connection of its own, and they keep to themselves", {
      timeout: 120_000,
    }, async () => {
      await expectOwnAnswers(person);
    });

    test("sends 1 GiB, and it comes over unharmed", { timeout: 240_000 }, async () => {
      const folder = person.folder("large");
      const sent = await writeKeystream(join(folder, "file"), GIB);
      await person.must("rsync", "--whole-file", "--inplace", join(folder, "file"), `${HOST}:${folder}/copy`);
      expect(await hashOf(join(folder, "copy"))).toBe(sent);
    });
  });

  describe.skipIf(!CAN_MAKE_USERS)("an ordinary user", () => {
    let person: Person;
    beforeAll(async () => {
      person = await Person.ordinary(stack);
    });
    afterAll(() => person[Symbol.asyncDispose]());

    // What is shared is ssh's own affair, whatever serves it.
    once?.(
      "has 20 sessions at once, when all try to share one connection and sshd lets in 10 by it",
      {
        timeout: 120_000,
      },
      async () => {
        await expectOwnAnswers(person);
      },
    );

    test("copies a tree of 2,000 files as it is", { timeout: 120_000 }, async () => {
      const folder = person.folder("trees", (path) => {
        for (let i = 0; i < FILES; i++) {
          const parent = join(path, "from", `${i % 20}`, `${i % 7}`);
          mkdirSync(parent, { recursive: true });
          writeFileSync(join(parent, `file ${i}`), `${i}\n`.repeat(i % 500));
        }
      });
      const from = join(folder, "from");
      await person.must("scp", "-r", "-q", from, `${HOST}:${folder}/scp`);
      await person.must("rsync", "-a", `${HOST}:${folder}/scp/`, join(folder, "rsync"));
      expect(contentsOf(from).size).toBe(FILES);
      for (const copy of ["scp", "rsync"]) expect(contentsOf(join(folder, copy))).toEqual(contentsOf(from));
    });
  });
});

async function expectOwnAnswers(person: Person): Promise<void> {
  const sessions = Array.from({ length: SESSIONS }, async (_, i) => {
    const session = person.start("ssh", HOST, `read line; echo "${i}: $line"; exit ${i}`);
    session.stdin.end(`hello ${i}\n`);
    const { code, stdout } = await session.exit({ timeoutMs: 100_000 });
    return [code, stdout];
  });
  expect(await Promise.all(sessions)).toEqual(Array.from({ length: SESSIONS }, (_, i) => [i, `${i}: hello ${i}\n`]));
}

function contentsOf(folder: string): Map<string, string> {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.includes("file "));
  return new Map(
    paths.map((path) => [
      path,
      createHash("sha256")
        .update(readFileSync(join(folder, path)))
        .digest("hex"),
    ]),
  );
}
