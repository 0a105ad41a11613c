import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What becomes of an answer: it is passed on, or lost with its connection. */
export type AnswerFate = "pass" | "lose";

/**
 * A relay in front of an HTTP server whose clients open a connection for each request. It passes requests on as they
 * come, and answers when they are whole, so that what is lost was done all the same.
 */
export interface AnswerRelay extends AsyncDisposable {
  readonly port: number;
  /** How many answers have come so far, passed on or not. */
  readonly answers: number;
  /** Resolves when the server has given its whole answer on the connection of that number, from 1. */
  answered(connection: number): Promise<void>;
}

/** `fate` is asked for each answer, with the number of its connection from 1; a promise holds the answer back. */
export async function startAnswerRelay(
  target: number,
  fate: (connection: number) => AnswerFate | Promise<AnswerFate>,
): Promise<AnswerRelay> {
  const whole: PromiseWithResolvers[] = [];
  const answer = (connection: number): PromiseWithResolvers => (whole[connection] ??= withResolvers());
  const sockets = new Set<Socket>();
  let connections = 0;
  let answers = 0;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const connection = (connections += 1);
    const far = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    }
    near.pipe(far);
    const chunks: Buffer[] = [];
    far.on("data", (chunk: Buffer) => chunks.push(chunk));
    far.on("end", () => {
      answers += 1;
      answer(connection).resolve();
      Promise.resolve(fate(connection)).then(
        (decided) => void (decided === "pass" ? near.end(Buffer.concat(chunks)) : near.resetAndDestroy()),
        () => near.destroy(),
      );
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get answers(): number {
      return answers;
    },
    answered: (connection) => answer(connection).promise,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

interface PromiseWithResolvers {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

/** As Promise.withResolvers(), which Node 20 lacks. */
function withResolvers(): PromiseWithResolvers {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
