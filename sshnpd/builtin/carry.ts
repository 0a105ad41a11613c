import type { Socket } from "node:net";
import { ChannelOutput } from "./channel-output.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { guardChannel, type ServerChannel } from "./ssh2.ts";

/** Carries bytes between a channel and a connected socket, half-close kept; resolves when both are closed. */
export async function carry(
  channel: ServerChannel,
  socket: Socket,
  { transport, signal, breakOff }: Pick<ConnectionContext, "transport" | "signal" | "breakOff">,
): Promise<void> {
  guardChannel(channel, breakOff);
  channel.on("error", () => {});
  const output = new ChannelOutput(channel, transport);
  const ended = new Promise<void>((resolve) => {
    channel.once("close", resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
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
}

function endOf(channel: ServerChannel): Promise<void> {
  return new Promise((resolve) => channel.once("end", resolve));
}
