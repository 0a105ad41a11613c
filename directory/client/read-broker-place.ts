import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { SecureContextOptions } from "node:tls";
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

/**
 * Refuses options of a broker that do not go together, and those without one: whoever gives them expects one to be used. Looks at
 * no file.
 * @throws {SetupError} E_USAGE.
 */
export function demandBroker(flags: BrokerFlags & { readonly mqtt?: string | undefined }): void {
  if (flags.mqtt !== undefined && (flags.mqttCert === undefined) !== (flags.mqttKey === undefined)) {
    throw new SetupError("E_USAGE", "--mqtt-cert and --mqtt-key go together.", { next: "Give both or neither." });
  }
  const given = Object.entries(flags).find(([name, value]) => /^mqtt[A-Z]/.test(name) && value !== undefined);
  if (flags.mqtt !== undefined || given === undefined) return;
  const option = `--${given[0].replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new SetupError("E_USAGE", `${option} is given, but no broker.`, {
    next: `Say which: --mqtt mqtts://HOST[:PORT]. Or leave ${option} out.`,
  });
}

/**
 * A broker and the files that it takes to come in there; of options that {@link demandBroker} has let pass.
 * @throws {SetupError} E_USAGE for a file that cannot be read or is not what it should be.
 */
export async function readBrokerPlace(text: string, flags: BrokerFlags): Promise<BrokerPlace> {
  const url = parseBrokerUrl(text);
  const { mqttCa, mqttCert, mqttKey, mqttNoVerify } = flags;
  const certificate =
    mqttCert === undefined || mqttKey === undefined
      ? undefined
      : { cert: await readPem(mqttCert), key: await readPem(mqttKey) };
  const ca = mqttCa === undefined ? undefined : await readPem(mqttCa);
  await demandUsable(flags, { ca, ...certificate });
  return { url, ca, certificate, isUnverified: mqttNoVerify === true };
}

/** @throws {SetupError} E_USAGE for what is no PEM of that kind, and for a key that is another certificate's. */
async function demandUsable(
  { mqttCa, mqttCert, mqttKey }: BrokerFlags,
  { ca, cert, key }: { readonly ca: string | undefined; readonly cert?: string; readonly key?: string },
): Promise<void> {
  const attempt = (action: () => unknown, fact: string): void => {
    try {
      action();
    } catch (cause) {
      throw new SetupError("E_USAGE", fact, { next: LOOK_AT_PEM, cause });
    }
  };
  if (ca !== undefined) {
    attempt(() => readCertificates(ca), `--mqtt-ca ${shellWord(mqttCa ?? "")} is no certificate in PEM.`);
  }
  if (cert === undefined || key === undefined) return;
  const { createSecureContext } = await import("node:tls");
  const check = (options: SecureContextOptions, fact: string): void =>
    attempt(() => createSecureContext(options), fact);
  check({ cert }, `--mqtt-cert ${shellWord(mqttCert ?? "")} is no certificate in PEM.`);
  check({ key }, `--mqtt-key ${shellWord(mqttKey ?? "")} is no private key in PEM, or one with a passphrase.`);
  check({ cert, key }, "--mqtt-key is not the key of --mqtt-cert.");
}

/** Throws where there is none, or one that is none: TLS passes over those. */
function readCertificates(pem: string): void {
  const blocks = pem.split(/(?=^-----BEGIN )/m).filter((block) => CERTIFICATE.test(block));
  if (blocks.length === 0) throw new Error("no certificate");
  for (const block of blocks) new X509Certificate(block);
}

const CERTIFICATE = /^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/; // as OpenSSL names them

const LOOK_AT_PEM = "Look at it: openssl x509 -in FILE -noout -text, and for the key: openssl pkey -in FILE -noout";

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new SetupError("E_USAGE", `Cannot read ${shellWord(file)}.`, { next: "Check its path and mode.", cause });
  }
}
