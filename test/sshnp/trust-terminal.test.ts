import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import jsqr from "jsqr";
import { decodeQR } from "qr/decode.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeMemberFile } from "../../keys/end-key-files.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { newMember, newOwner } from "../keys/end-keys.ts";
import { commandFile } from "../support/processes.ts";
import { DARK, LIGHT, photograph } from "../support/qr-screen.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { type Terminal, Terminals } from "../support/terminals.ts";
import { HOST, OWNER, pinnedIn } from "./pinned.ts";

const jsQR = jsqr.default; // a CommonJS module, whose types tell of another default
const SIZE = { columns: 80, rows: 24 };
const LONGEST = `@${"a".repeat(32)}`;

let folder: TemporaryFolder;
let keys: PrivateFolder;
let terminals: Terminals;
beforeAll(async () => {
  folder = await temporaryFolder();
  keys = await pinnedIn(folder.path);
  await writeMemberFile(keys, newMember(suite, newOwner(suite, LONGEST), "laptop-client", "client"));
  await mkdir(join(folder.path, "bin"));
  for (const name of ["sshnp", "sshnp-keys"] as const) {
    await symlink(commandFile(name), join(folder.path, "bin", name));
  }
  terminals = await Terminals.start(SIZE);
});
afterAll(async () => {
  await terminals[Symbol.asyncDispose]();
  await folder.remove();
});

test.each([
  ["ls", "trust ls"],
  ["show", `trust show ${HOST}`],
])("on a terminal of 80 by 24, sshnp trust %s looks as it did", async (file, words) => {
  await using window = await open(file);
  await window.terminal.run(`sshnp ${words}`);
  const lines = await window.terminal.screen();
  for (const line of lines) expect(line).toMatch(/^[ -~]{0,80}$/);
  await expect(lines.join("\n")).toMatchFileSnapshot(`trust-terminal-${file}.golden.txt`);
});

test("where there is room, each pin is one line under its headings", async () => {
  await using wide = await Terminals.start();
  const window = await wide.open("here", { env: environment() });
  await expect(await window.run("sshnp trust ls")).toMatchFileSnapshot("trust-terminal-wide.golden.txt");
});

test.each([
  ["sshnp trust show @device", `@device=${OWNER}`],
  [`sshnp-keys show ${LONGEST}`, undefined],
])(
  "the code of %s --qr stands whole on a screen of 80 by 24 and is read from it, dark or light",
  async (line, owner) => {
    await using window = await open("qr");
    const said = await window.terminal.run(`${line} --qr`);
    const argument = owner ?? said.split("\n")[0];
    expect(argument).toMatch(/^@[a-z]+=SHA256:\S{43}$/);
    const lines = await window.terminal.screen();
    expect(lines).toHaveLength(SIZE.rows);
    for (const theme of [DARK, LIGHT]) {
      const image = photograph(lines, SIZE.columns, theme);
      expect(jsQR(image.data, image.width, image.height)?.data).toBe(argument);
      expect(decodeQR({ ...image })).toBe(argument);
    }
  },
);

function environment(): { readonly HOME: string; readonly [name: string]: string } {
  const PATH = `${join(folder.path, "bin")}:${process.env["PATH"]}`;
  return { HOME: folder.path, SSHNP_KEYS: keys.path, PATH };
}

async function open(name: string): Promise<AsyncDisposable & { readonly terminal: Terminal }> {
  const terminal = await terminals.open(name, { env: environment() });
  return { terminal, [Symbol.asyncDispose]: () => terminal.close() };
}
