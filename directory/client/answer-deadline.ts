import { UnavailableError } from "../../keys/errors.ts";

/** Aborts after so many ms, with an error for people: however often the directory says that it is still there, an answer has its time. */
export function answerDeadline(ms: number): AbortSignal {
  const late = new AbortController();
  const error = new UnavailableError("E_TIMEOUT", "The directory keeps the connection open and gives no answer.", {
    next: "Try again; if it stays so, whoever runs the directory should look at its log.",
  });
  setTimeout(() => late.abort(error), ms).unref();
  return late.signal;
}
