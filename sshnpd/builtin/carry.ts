import type { Socket } from "node:net";
import { ChannelOutput } from "./channel-output.ts";
import type { ChannelContext } from "./connection-context.ts";
import { guardChannel } from "./guard-channel.ts";
import type { ServerChannel } from "./ssh2.ts";

/** Carries bytes between a channel and a connected socket, half-close kept; resolves when both are closed. */
export async function carry(
  channel: ServerChannel,
  socket: Socket,
  { transport, signal, window, breakOff }: Pick<ChannelContext, "transport" | "signal" | "window" | "breakOff">,
): Promise<void> {
  guardChannel(channel, { window, breakOff });
  channel.on("error", () => {});
  const output = new ChannelOutput(channel, transport);
  let end = (): void => {};
  const ended = new Promise<void>((resolve) => (end = resolve));
  channel.once("close", end);
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  channel.pipe(socket);
  socket.once("close", () => {
    channel.unpipe(socket);
    channel.resume();
  });
  const copied = output.copy(socket.iterator({ destroyOnReturn: false }), "output").then(() => channel.eof());
  await Promise.race([ended, Promise.all([copied, endOf(channel)])]);
  channel.close();
  output.close();
  socket.destroy();
  signal.removeEventListener("abort", end);
  window.close();
}

function endOf(channel: ServerChannel): Promise<void> {
  return new Promise((resolve) => channel.once("end", resolve));
}
