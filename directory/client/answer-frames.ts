import { PeerError } from "../../keys/errors.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { refusalError } from "./refusal-error.ts";

/** What asking needs of a DirectoryClient. */
export interface MessageSender {
  send(
    sender: X25519PrivateKey,
    message: { readonly type: number; readonly body: Uint8Array },
    options: { readonly signal: AbortSignal },
  ): AsyncGenerator<Frame, void, void>;
}

/**
 * The frames of an answer that is frames of one type and then `done`, which is left out.
 * @throws what the directory refused with; {PeerError} E_PROTOCOL for another frame, and for an answer that ends without `done`.
 */
export async function* answerFrames<Type extends Frame["type"]>(
  directory: MessageSender,
  type: Type,
  ...message: Parameters<MessageSender["send"]>
): AsyncGenerator<Extract<Frame, { readonly type: Type }>, void, void> {
  for await (const frame of directory.send(...message)) {
    if (frame.type === "refused") throw refusalError(frame.code, frame.detail);
    if (frame.type === "done") return;
    if (!isOf(frame, type)) throw outOfTurn();
    yield frame;
  }
  throw outOfTurn();
}

/** For whatever else an answer holds that it should not. */
export function outOfTurn(): PeerError {
  return new PeerError("E_PROTOCOL", "The directory answers out of turn.");
}

function isOf<Type extends Frame["type"]>(frame: Frame, type: Type): frame is Extract<Frame, { readonly type: Type }> {
  return frame.type === type;
}
