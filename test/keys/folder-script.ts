// A process that uses a private folder: node script.mjs COMMAND FOLDER FILE. It starts with umask 0 and prints one JSON
// line for each thing done, or the error it met.
import { SetupError } from "../../keys/errors.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { bigVersion } from "./versions.ts";

process.umask(0);
const [command = "", path = "", file = ""] = process.argv.slice(2);
try {
  switch (command) {
    case "read": {
      const folder = await PrivateFolder.open(path);
      const bytes = await folder?.read(file, 1_000_000);
      print({ text: bytes && new TextDecoder().decode(bytes) });
      break;
    }
    case "create": {
      const folder = await PrivateFolder.openOrCreate(path);
      await folder.create(file, new TextEncoder().encode("text"));
      print({ created: file });
      break;
    }
    case "replace-for-ever": {
      const folder = await PrivateFolder.openOrCreate(path);
      for (let version = 1; ; version++) {
        await folder.replace(file, bigVersion(version));
        print({ version });
      }
    }
    case "create-for-ever": {
      const folder = await PrivateFolder.openOrCreate(path);
      for (let version = 1; ; version++) {
        await folder.create(`${file}${version}`, bigVersion(version));
        print({ version });
      }
    }
  }
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  print({ error: error.name, code: error.code, message: error.message, next: error.next });
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
