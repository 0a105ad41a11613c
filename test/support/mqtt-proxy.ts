import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { generate, type Packet, parser } from "mqtt-packet";

/** A broker in the middle that does what it likes: the packets that go on in place of one that came. */
export type Mischief = (packet: Packet, to: "client" | "broker") => readonly Packet[];

/** An MQTT broker that is not to be trusted, in front of one that is. */
export interface MqttProxy extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** What it does from now on. */
  mischief: Mischief;
  /** Puts a packet of its own to every client, or those whose ids are like that. */
  inject(packet: Packet, isMeant?: (clientId: string) => boolean): void;
  /** Cuts all connections. */
  cut(): void;
}

export async function startMqttProxy(brokerPort: number): Promise<MqttProxy> {
  /** With the ids that they gave. */
  const clients = new Map<Socket, string>();
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const broker = connect(brokerPort, "127.0.0.1");
    clients.set(client, "");
    for (const socket of [client, broker]) {
      sockets.add(socket);
      socket
        .on("error", () => {})
        .on("close", () => {
          sockets.delete(socket);
          clients.delete(socket);
          client.destroy();
          broker.destroy();
        });
    }
    carry(client, broker, "broker");
    carry(broker, client, "client");
  });
  const carry = (from: Socket, to: Socket, direction: "client" | "broker"): void => {
    const packets = parser({ protocolVersion: 4 });
    packets.on("packet", (packet: Packet) => {
      if (packet.cmd === "connect" && clients.has(from)) clients.set(from, packet.clientId);
      for (const each of proxy.mischief(packet, direction)) to.write(generate(each, { protocolVersion: 4 }));
    });
    from.on("data", (chunk: Buffer) => void packets.parse(chunk));
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const proxy: MqttProxy = {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    mischief: (packet) => [packet],
    inject(packet, isMeant = () => true) {
      for (const [client, id] of clients) if (isMeant(id)) client.write(generate(packet, { protocolVersion: 4 }));
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      proxy.cut();
      server.close();
      await once(server, "close");
    },
  };
  return proxy;
}
