// A session that has just met a device: node script.mjs KEYS-FOLDER PROVED. It pins the device and ends.
import { PrivateFolder } from "../../keys/private-folder.ts";
import { nativeSuite } from "../../protocol/suite/native.ts";
import { pinDevice } from "../../sshnp/pins.ts";
import { type ClaimJson, claimFromJson } from "./claim-json.ts";

const [path = "", json = ""] = process.argv.slice(2);
const proved: { readonly claim: ClaimJson; readonly hostKey: string; readonly now: number } = JSON.parse(json);
const keys = await PrivateFolder.openOrCreate(path);
const hostKeys = [new Uint8Array(Buffer.from(proved.hostKey, "hex"))];
await pinDevice(nativeSuite, keys, { claim: claimFromJson(proved.claim), given: undefined, hostKeys }, proved.now);
