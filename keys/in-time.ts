/**
 * What `work` comes to, or after `ms` what `late` gives or throws. The process is kept alive until then, since what the work waits
 * for may hold no timer and no socket; the work goes on for all that is known here, and what it throws later is lost.
 */
export async function inTime<T>(work: Promise<T>, ms: number, late: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  }).then(late);
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
