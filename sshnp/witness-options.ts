import type { WitnessOptions } from "../directory/client.ts";

/** As they are called on a command line, and in {@link WitnessOptions}. */
const OPTIONS = { witness: "witness", witnesses: "witnesses", "max-checkpoint-age": "maxCheckpointAge" } as const;

/** Whether `--name` is one of them. */
export function isWitnessOption(name: string): name is keyof typeof OPTIONS {
  return Object.hasOwn(OPTIONS, name);
}

/** With one more word of the command line. */
export function withWitnessOption(
  options: WitnessOptions | undefined,
  name: keyof typeof OPTIONS,
  value: string,
): WitnessOptions {
  if (name === "witness") return { ...options, witness: [...(options?.witness ?? []), value] };
  return { ...options, [OPTIONS[name]]: value };
}

/** The words of a command line that say the same. */
export function witnessWords({ witness = [], witnesses, maxCheckpointAge }: WitnessOptions = {}): string[] {
  return [
    ...witness.flatMap((key) => ["--witness", key]),
    ...(witnesses === undefined ? [] : ["--witnesses", witnesses]),
    ...(maxCheckpointAge === undefined ? [] : ["--max-checkpoint-age", maxCheckpointAge]),
  ];
}
