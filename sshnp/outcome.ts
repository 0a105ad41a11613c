import { SshnpError } from "../keys/errors.ts";

/** What came of something, for those who look at everything and stop at nothing. */
export type Outcome<T> = { readonly value: T } | { readonly error: SshnpError };

/** Runs `action`; a failure that can be told to people is its outcome. @throws what is no error of ours. */
export async function outcomeOf<T>(action: () => Promise<T> | T): Promise<Outcome<T>> {
  try {
    return { value: await action() };
  } catch (error) {
    if (error instanceof SshnpError) return { error };
    throw error;
  }
}
