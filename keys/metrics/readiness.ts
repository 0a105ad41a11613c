/** Why a part is not ready, in words of our own; undefined: it is. */
export type Reason = string | undefined;

export interface Check {
  /** The part, in one word. */
  readonly name: string;
  /** Bounded in time by whoever waits for it. */
  readonly look: () => Reason | Promise<Reason>;
}

/** What a service needs to do its work. Whoever is in charge of a part adds its check. */
export class Readiness {
  readonly #checks: Check[] = [];

  add(...checks: readonly Check[]): void {
    this.#checks.push(...checks);
  }

  /** Looks at all parts, each for LOOK_MS at most. One line for each: `NAME: ok` or `NAME: REASON`. Never rejects. */
  async look(): Promise<{ readonly isReady: boolean; readonly text: string }> {
    const found = await Promise.all(
      this.#checks.map(async (check) => ({ name: check.name, reason: await lookInTime(check) })),
    );
    const text = found.map(({ name, reason }) => `${name}: ${reason ?? "ok"}\n`).join("");
    return { isReady: found.every(({ reason }) => reason === undefined), text };
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
