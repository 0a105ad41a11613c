import { PeerError } from "../../keys/errors.ts";
import type { MemberName, Name } from "../../keys/names.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import { DEVICE_LIST_MS, DEVICES_LISTED } from "../../protocol/limits.ts";
import { type DeviceEntry, encodeListDevices } from "../../protocol/messages/devices.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { answerDeadline } from "./answer-deadline.ts";
import { refusalError } from "./refusal-error.ts";
import { askUntilAnswered } from "./told-to-wait.ts";

/** What listing devices needs of a DirectoryClient. */
interface Directory {
  send(
    sender: X25519PrivateKey,
    message: { readonly type: number; readonly body: Uint8Array },
    options: { readonly signal: AbortSignal },
  ): AsyncGenerator<Frame, void, void>;
}

/**
 * The devices of a name that the sender may reach, sorted by member, as the directory says they stand; none when there is no
 * such name or the sender may see none of it, which nobody is told apart. While an answer to this sender is under way, it waits.
 * @throws what the directory refused with; {UnavailableError} E_TIMEOUT after DEVICE_LIST_MS; {PeerError} E_PROTOCOL, also for more than
 * DEVICES_LISTED.
 */
export async function listDevices(
  directory: Directory,
  sender: X25519PrivateKey,
  name: Name,
  { signal }: { readonly signal: AbortSignal },
): Promise<DeviceEntry[]> {
  return await askUntilAnswered(
    () => listOnce(directory, sender, name, AbortSignal.any([signal, answerDeadline(DEVICE_LIST_MS)])),
    { signal },
  );
}

async function listOnce(
  directory: Directory,
  sender: X25519PrivateKey,
  name: Name,
  signal: AbortSignal,
): Promise<DeviceEntry[]> {
  const all: DeviceEntry[] = [];
  let last: MemberName | "" = "";
  const message = { type: REQUEST.listDevices, body: encodeListDevices(name) };
  for await (const frame of directory.send(sender, message, { signal })) {
    if (frame.type === "refused") throw refusalError(frame.code, frame.detail);
    if (frame.type === "done") return all;
    if (frame.type !== "devices") break;
    for (const device of frame.devices) {
      if (device.member <= last || all.length === DEVICES_LISTED) throw outOfTurn();
      last = device.member;
      all.push(device);
    }
  }
  throw outOfTurn();
}

function outOfTurn(): PeerError {
  return new PeerError("E_PROTOCOL", "The directory answers out of turn.");
}
