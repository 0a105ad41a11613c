import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { EXIT_STATUS, type ErrorCode } from "../../keys/errors.ts";

/*
 * Every code that there is has been brought about with what people read then: as a file in errors/, or elsewhere, or it cannot be
 * brought about with programs of ours at all.
 */

const HERE = import.meta.dirname;
const TEXTS = "test/sshnp/refusal-texts.golden.txt";

/** Where the words of a code are held, when not in errors/; and why they are not. */
const ELSEWHERE: Partial<Record<ErrorCode, readonly [file: string, why: string]>> = {
  E_AUDIT: ["test/directory/audit.test.ts", "it is a report of many lines, for each way to tamper"],
  E_BUSY: [TEXTS, "it takes more load than one machine has to spare"],
  E_CLOSED: [TEXTS, "sshnp forward tells of it and goes on"],
  E_INTERRUPTED: [
    TEXTS,
    "whoever presses Ctrl-C is told nothing; the directory says it of a request that a newer one replaces",
  ],
  E_REPLACED: ["test/e2e/daemon.test.ts", "a daemon's log stands around it"],
  E_TIMEOUT: [TEXTS, "it takes as long as it says"],
  E_UNREACHABLE: [TEXTS, "sshnp forward tells of it and goes on"],
};

/** What only somebody else's program does, or one of ours with a mistake in it. Such programs: test/adversaries. */
const NOT_WITH_OURS: Partial<Record<ErrorCode, readonly [file: string, why: string]>> = {
  E_BUG: ["keys/print-error.ts", "there would have to be one"],
  E_DEVICE_UNREADABLE: [TEXTS, "a device has other keys than its binding says"],
  E_DIRECTORY_LIST: [
    "test/directory/client.test.ts",
    "a directory shows a list of keys that is older than one it has shown",
  ],
  E_MEMBER_KEY: ["test/sshnp/lying-directory.test.ts", "a directory hides the newest binding of a member"],
  E_PROTOCOL: [TEXTS, "a peer does not keep to the protocol"],
  E_STATEMENT: ["test/sshnp/own-end-texts.test.ts", "a year has passed, or a directory shows a statement that is none"],
  E_TICKET: [TEXTS, "a directory gives a ticket that is none"],
};

const GOLDEN = readdirSync(join(HERE, "errors"));

test.each(Object.keys(EXIT_STATUS) as ErrorCode[])(
  "%s is in one of the three lists, and the file there has it",
  (code) => {
    const golden = GOLDEN.filter((file) => file.split(".")[0] === code);
    const told = [ELSEWHERE[code], NOT_WITH_OURS[code]].filter((entry) => entry !== undefined);
    expect({ code, lists: told.length + (golden.length > 0 ? 1 : 0) }).toEqual({ code, lists: 1 });
    for (const [file] of told)
      expect(readFileSync(join(HERE, "../..", file), "utf8")).toMatch(new RegExp(`\\b${code}\\b`));
  },
);

test("every file in errors/ is of a code that there is, and tells it", () => {
  for (const file of GOLDEN) {
    const [code = ""] = file.split(".");
    expect(Object.keys(EXIT_STATUS)).toContain(code);
    const text = readFileSync(join(HERE, "errors", file), "utf8");
    expect(text).toMatch(/^\$ (?:\w+=\S+ )*sshnp.*\n[^]+\nstatus \d+\n$/);
    if (file !== TOLD_AS_FINE) expect(text).toContain(code);
  }
});

/** TLS inspection is no failure: docs/threat-model.md says why nothing rests on it. */
const TOLD_AS_FINE = "E_DIRECTORY.tls-inspection.txt";
