import type { Command } from "commander";
import { SetupError } from "../../keys/errors.ts";
import { type MemberName, type Name, parseMember, parseName, quoted } from "../../keys/names.ts";
import { printData } from "../../keys/print-data.ts";
import { deviceAtBroker } from "../../protocol/broker-topics.ts";
import {
  type DirectoryAddress,
  directoryInEnvironment,
  parseDirectoryAddress,
} from "../../protocol/directory-address.ts";
import { loadSuite } from "../../protocol/suite/load.ts";

/** `sshnp-directory broker-name` */
export function addBrokerNameCommand(program: Command): void {
  program
    .command("broker-name")
    .argument("<@name/device>", "the device, such as @acme/mygateway; it need not be there yet")
    .description(
      "Print what a device is called at an MQTT broker: its client id, user name and last part of its topic.",
    )
    .option("--directory <address>", "the directory's address, with its fingerprint (else SSHNP_DIRECTORY)")
    .addHelpText(
      "after",
      `
It is the common name of the device's certificate there (docs/mqtt.md). Nothing is asked of the network.

Examples:
  sshnp-directory broker-name @acme/mygateway --directory http://np.example.org:7800#SHA256:...`,
    )
    .action((device: string, options: { readonly directory?: string }) => printBrokerName(device, options));
}

async function printBrokerName(text: string, { directory }: { readonly directory?: string }): Promise<void> {
  const device = parseDevice(text);
  const { fingerprint } = addressOf(directory);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  await printData(`${deviceAtBroker(suite, fingerprint, device)}\n`);
}

function parseDevice(text: string): { readonly name: Name; readonly member: MemberName } {
  const slash = text.indexOf("/");
  if (slash === -1) {
    throw new SetupError("E_USAGE", `${quoted(text)} is no device.`, {
      next: "It reads @NAME/DEVICE, such as @acme/mygateway.",
    });
  }
  return { name: parseName(text.slice(0, slash)), member: parseMember(text.slice(slash + 1)) };
}

function addressOf(given: string | undefined): DirectoryAddress {
  const address = given === undefined ? directoryInEnvironment(process.env) : parseDirectoryAddress(given);
  if (address !== undefined) return address;
  throw new SetupError("E_USAGE", "Which directory it is about is not said.", {
    next: "Give --directory or SSHNP_DIRECTORY; `sshnp-directory address --data DIR` prints the address.",
  });
}
