/** Why a part is not ready, in words of our own; undefined: it is. */
export type Reason = string | undefined;

export interface Check {
  /** The part, in one word. */
  readonly name: string;
  /** Bounded in time by whoever waits for it. */
  readonly look: () => Reason | Promise<Reason>;
  /** Whether the service does its work without it, only otherwise: then it is told of, and ready all the same. */
  readonly isSpare?: boolean;
}

/** What a service needs to do its work. Whoever is in charge of a part adds its check. */
export class Readiness {
  readonly #checks: Check[] = [];

  add(...checks: readonly Check[]): void {
    this.#checks.push(...checks);
  }

  /** Looks at all parts, each for LOOK_MS at most. One line for each: `NAME: ok`, `NAME: REASON` or `NAME: degraded, REASON`. Never rejects. */
  async look(): Promise<{ readonly isReady: boolean; readonly text: string }> {
    const found = await Promise.all(this.#checks.map(async (check) => ({ ...check, reason: await lookInTime(check) })));
    const text = found.map(({ name, reason, isSpare }) => {
      if (reason === undefined) return `${name}: ok\n`;
      return `${name}: ${isSpare === true ? "degraded, " : ""}${reason}\n`;
    });
    return {
      isReady: found.every(({ reason, isSpare }) => reason === undefined || isSpare === true),
      text: text.join(""),
    };
  }
}

const LOOK_MS = 2000;

async function lookInTime({ look }: Check): Promise<Reason> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Reason>((resolve) => {
    timer = setTimeout(() => resolve("does not answer in time"), LOOK_MS);
  });
  try {
    return await Promise.race([(async () => await look())(), late]);
  } catch {
    return "cannot be looked at";
  } finally {
    clearTimeout(timer);
  }
}
