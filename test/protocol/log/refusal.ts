import { expect } from "vitest";
import { SecurityError } from "../../../keys/errors.ts";

/** Demands that `run` throws a SecurityError E_LOG; a thousand times cheaper than `toThrow`, for loops. */
export function expectLogRefusal(run: () => void): void {
  let thrown: unknown;
  try {
    run();
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof SecurityError) || thrown.code !== "E_LOG") {
    expect(thrown, "it must be refused with a SecurityError").toMatchObject({ name: "SecurityError", code: "E_LOG" });
  }
}
