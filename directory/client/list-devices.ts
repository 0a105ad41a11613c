import type { MemberName, Name } from "../../keys/names.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import { DEVICE_LIST_MS, DEVICES_LISTED } from "../../protocol/limits.ts";
import { type DeviceEntry, encodeListDevices } from "../../protocol/messages/devices.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { answerDeadline } from "./answer-deadline.ts";
import { answerFrames, type MessageSender, outOfTurn } from "./answer-frames.ts";
import { askUntilAnswered } from "./told-to-wait.ts";

/**
 * The devices of a name that the sender may reach, sorted by member, as the directory says they stand; none when there is no
 * such name or the sender may see none of it, which nobody is told apart. While an answer to this sender is under way, it waits.
 * @throws what the directory refused with; {UnavailableError} E_TIMEOUT after DEVICE_LIST_MS; {PeerError} E_PROTOCOL, also for more than
 * DEVICES_LISTED.
 */
export async function listDevices(
  directory: MessageSender,
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
  directory: MessageSender,
  sender: X25519PrivateKey,
  name: Name,
  signal: AbortSignal,
): Promise<DeviceEntry[]> {
  const all: DeviceEntry[] = [];
  let last: MemberName | "" = "";
  const message = { type: REQUEST.listDevices, body: encodeListDevices(name) };
  for await (const { devices } of answerFrames(directory, "devices", sender, message, { signal })) {
    for (const device of devices) {
      if (device.member <= last || all.length === DEVICES_LISTED) throw outOfTurn();
      last = device.member;
      all.push(device);
    }
  }
  return all;
}
