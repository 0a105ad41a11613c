import { afterEach, beforeEach, expect, test } from "vitest";
import { join } from "node:path";
import { demandNothingOlder, rememberStated } from "../../keys/cli/stated.ts";
import { parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const NAME = parseName("@acme");
const at = (subject: string, seq: number) => ({ subject, seq });

let place: TemporaryFolder;
let folder: PrivateFolder;
beforeEach(async () => {
  place = await temporaryFolder();
  folder = await PrivateFolder.openOrCreate(join(place.path, "keys"));
});
afterEach(() => place.remove());

test("what an owner has stated does not go back, nor away, whatever the directory proves", async () => {
  await demandNothingOlder(folder, NAME, [at("@acme", 1), at("@acme/gw", 1)]);
  await rememberStated(folder, NAME, [at("@acme/gw", 2)]);
  const older = {
    code: "E_LOG",
    message: expect.stringContaining("statement 1 on @acme/gw; number 2 was there before"),
  };
  await expect(demandNothingOlder(folder, NAME, [at("@acme", 1), at("@acme/gw", 1)])).rejects.toMatchObject(older);
  const gone = { code: "E_LOG", message: expect.stringContaining("no statement on @acme/gw; number 2") };
  await expect(demandNothingOlder(folder, NAME, [at("@acme", 1)])).rejects.toMatchObject(gone);
  await demandNothingOlder(folder, NAME, [at("@acme", 1), at("@acme/gw", 1), at("@acme/gw", 2), at("@acme/new", 1)]);
});

test("what is seen further is remembered, and what is said about another name is not mixed with it", async () => {
  await demandNothingOlder(folder, NAME, [at("@acme", 1), at("@acme", 2)]);
  await demandNothingOlder(folder, parseName("@other"), [at("@other", 1)]);
  await expect(demandNothingOlder(folder, NAME, [at("@acme", 1)])).rejects.toMatchObject({ code: "E_LOG" });
});
