import { readFile } from "node:fs/promises";
import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { shellWord } from "../../keys/shell-word.ts";
import type { BrokerPlace } from "./broker.ts";

/** Options of a command that say how a broker is come to. */
export interface BrokerFlags {
  readonly mqttCa?: string;
  readonly mqttCert?: string;
  readonly mqttKey?: string;
  readonly mqttNoVerify?: boolean;
}

/** The broker at `mqtt://HOST[:PORT]` or `mqtts://HOST[:PORT]`. @throws {SetupError} E_USAGE. */
export function parseBrokerUrl(text: string): URL {
  if (!/^mqtts?:\/\/(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i.test(text) || !URL.canParse(text)) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not where an MQTT broker can be reached.`, {
      next: "It reads mqtts://HOST or mqtts://HOST:PORT, with nothing after it; mqtt:// is without TLS.",
    });
  }
  return new URL(text.toLowerCase()); // what URL leaves to schemes that it does not know
}

/** A broker and the files that it takes to come in there. @throws {SetupError} E_USAGE. */
export async function readBrokerPlace(text: string, flags: BrokerFlags): Promise<BrokerPlace> {
  const url = parseBrokerUrl(text);
  const { mqttCa, mqttCert, mqttKey, mqttNoVerify } = flags;
  if ((mqttCert === undefined) !== (mqttKey === undefined)) {
    throw new SetupError("E_USAGE", "--mqtt-cert and --mqtt-key go together.", { next: "Give both or neither." });
  }
  const certificate =
    mqttCert === undefined || mqttKey === undefined
      ? undefined
      : { cert: await readPem(mqttCert), key: await readPem(mqttKey) };
  const ca = mqttCa === undefined ? undefined : await readPem(mqttCa);
  return { url, ca, certificate, isUnverified: mqttNoVerify === true };
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new SetupError("E_USAGE", `Cannot read ${shellWord(file)}.`, { next: "Check its path and mode.", cause });
  }
}
