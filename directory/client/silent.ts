/** What ends a connection on which nothing comes. */
export function silent(): Error {
  return Object.assign(new Error("the directory is silent"), { code: "ETIMEDOUT" });
}
