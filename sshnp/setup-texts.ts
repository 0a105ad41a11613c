/** What a person reads when this machine is not ready for a session. */
import { SetupError } from "../keys/errors.ts";
import type { Name } from "../keys/names.ts";
import { shellWord } from "../keys/shell-word.ts";

/** No client keys in the folder; `client` when one was named, `others`: whose keys are there. */
export function noClientKeys(client: Name | undefined, folder: string, others: readonly Name[] = []): SetupError {
  const [other] = others;
  if (client !== undefined && other !== undefined) {
    return new SetupError("E_NO_KEYS", `The client keys in ${shellWord(folder)} are those of ${others.join(", ")}.`, {
      next: `Were the names swapped? First the client, then the device: sshnp ${other} ${client} mygateway   Elsewhere are those of ${client}? Say where: sshnp --keys DIR`,
    });
  }
  return new SetupError(
    "E_NO_KEYS",
    `No client keys${client === undefined ? "" : ` of ${client}`} on this machine (looked in ${shellWord(folder)}).`,
    {
      next: `First machine of ${client ?? "@client"}: sshnp-keys activate -a ${client ?? "@client"} -c SECRET --directory ADDRESS   One more: sshnp-keys enroll ${client ?? "@client"} NAME --otp - --directory ADDRESS   Elsewhere? Say where: sshnp --keys DIR`,
    },
  );
}

export function severalClients(clients: readonly string[], folder: string): SetupError {
  return new SetupError("E_USAGE", `There are several clients in ${shellWord(folder)}: ${clients.join(", ")}.`, {
    next: `Say which: sshnp ${clients[0] ?? "@client"} @device mygateway`,
  });
}

export function noSshBinary(cause: unknown, program: "ssh" | "scp" | "sftp" | "rsync" = "ssh"): SetupError {
  const without = "   For a shell or a command it goes without: sshnp --native @device mygateway";
  return new SetupError("E_NO_SSH", `There is no ${program} on this machine that can be started.`, {
    next: `Install it: apt-get install ${program === "rsync" ? "rsync" : "openssh-client"}${program === "ssh" ? without : ""}`,
    cause,
  });
}
