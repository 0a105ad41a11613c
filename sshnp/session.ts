import type { Duplex } from "node:stream";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { DeniedError, SshnpError, UnavailableError } from "../keys/errors.ts";
import { bindChannel, type ChannelEnd, type Clock } from "../protocol/channel/bind-channel.ts";
import { Channel } from "../protocol/channel/channel.ts";
import { CONFIRM_MS, SESSION_WINDOW_BYTES, STREAM_WINDOW_BYTES } from "../protocol/limits.ts";
import type { HandshakeResult } from "../protocol/noise/handshake-result.ts";
import type { ChannelLimits } from "../protocol/session/payloads.ts";
import type { Leg } from "../rendezvous/client.ts";
import type { Progress } from "./progress.ts";
import { type Attempt, deviceRefusal, noSshServer, timedOut, truncated } from "./refusal-texts.ts";

/** A session with a device, and in it the stream to its SSH server. */
export interface Session {
  readonly attempt: Attempt;
  /** Both directions of SSH; may be written at once. */
  readonly stream: Duplex;
  /** Why the session broke, or undefined when it ended in good order. Settles when the stream can give no more. */
  readonly ended: Promise<SshnpError | undefined>;
  /** Says farewell to the device and returns when it has gone out, within LINGER_MS. */
  close(): Promise<void>;
}

/** The first byte of a path: records of the first handshake follow (docs/protocol.md section 9). */
const PATH_OF_FIRST_HANDSHAKE = Uint8Array.of(0);

const CLOCK: Clock = {
  now: () => performance.now(),
  after: (milliseconds, action) => {
    const timer = setTimeout(action, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Begins the records on a leg that may not be joined yet: CONFIRM, OPEN and what is written to the stream go ahead. */
export function openSession(
  suite: CipherSuite,
  attempt: Attempt,
  agreed: { readonly keys: HandshakeResult; readonly limits: ChannelLimits },
  leg: Leg,
  progress: Progress,
): Session {
  const { keys, limits } = agreed;
  const over = new AbortController();
  leg.socket.write(PATH_OF_FIRST_HANDSHAKE);
  const channel = new Channel({
    role: "client",
    send: suite.aead(keys.initiatorToResponder),
    receive: suite.aead(keys.responderToInitiator),
    limits: { ...limits, streamWindow: STREAM_WINDOW_BYTES, sessionWindow: SESSION_WINDOW_BYTES },
  });
  let end: (error: SshnpError | undefined) => void = () => {};
  const ended = new Promise<SshnpError | undefined>((resolve) => {
    end = resolve;
  });
  const unconfirmed = setTimeout(() => {
    end(timedOut(attempt, "The device answered, but did not come to the rendezvous", CONFIRM_MS / 1000));
  }, CONFIRM_MS);
  const binding = bindChannel(channel, leg.socket, {
    signal: over.signal,
    clock: CLOCK,
    onConfirmed: () => {
      clearTimeout(unconfirmed);
      progress.step("the device has confirmed the keys");
    },
  });
  const stream = binding.open("ssh");
  leg.joined.then(
    () => progress.step("the rendezvous has joined the two legs"),
    (error: unknown) => end(asError(error, attempt)),
  );
  stream.opened.then(
    () => progress.step("the device has opened its SSH port"),
    () => {},
  );
  let isClosing = false;
  let broken: SshnpError | undefined;
  stream.once("error", (error) => {
    if (isClosing) return;
    broken = streamError(error, attempt);
    binding.close("finished");
  });
  const tellTheEnd = async (): Promise<void> => {
    const how = await binding.closed;
    clearTimeout(unconfirmed);
    end(endError(how, attempt) ?? broken); // when the whole channel broke, it knows better why
  };
  void tellTheEnd();
  const close = async (): Promise<void> => {
    isClosing = true;
    clearTimeout(unconfirmed);
    binding.close("finished");
    await binding.closed;
  };
  return { attempt, stream, ended, close };
}

/** Why the one stream of the session broke. */
function streamError(error: Error, attempt: Attempt): SshnpError {
  if (!(error instanceof SshnpError)) return truncated(attempt, error);
  if (error.code === "E_NO_SSHD") return noSshServer(attempt, "nothing answers on its SSH port.");
  if (error.code === "E_DEVICE_REFUSED") return deviceRefusal(attempt, { code: "E_DEVICE_REFUSED", reason: "" });
  return error.code === "E_TRUNCATED" ? truncated(attempt, error) : error;
}

function endError(end: ChannelEnd, attempt: Attempt): SshnpError | undefined {
  if (end.how !== "closed") return asError(end.how === "failed" ? end.error : end.cause, attempt);
  const { member, name } = attempt.device;
  if (end.by === "us") return undefined;
  switch (end.code) {
    case "finished":
      return undefined;
    case "revoked":
      return new DeniedError(
        "E_NOT_AUTHORIZED",
        `${member} of ${name} has withdrawn the access of ${attempt.client}.`,
        {
          next: "Ask whoever runs the device.",
        },
      );
    case "going-away":
      return new UnavailableError("E_TRUNCATED", `The daemon on ${member} of ${name} is stopping.`, {
        next: `Try again when it is back: sshnp --wait ${attempt.client} ${name} ${member}`,
      });
    case "protocol-error":
    case "failed":
      return truncated(attempt, end);
  }
}

function asError(error: unknown, attempt: Attempt): SshnpError {
  return error instanceof SshnpError ? error : truncated(attempt, error);
}
