/** Ends one after the other, whatever comes of the ones before; `failed` hears of each that could not be ended. */
export async function endAll(ends: readonly (() => unknown)[], failed: (error: unknown) => void): Promise<void> {
  for (const end of ends) {
    try {
      await end();
    } catch (error) {
      failed(error);
    }
  }
}
