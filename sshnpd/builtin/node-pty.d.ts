/** The native part of the package alone: its JavaScript throws away what a paused reader has not read 200 ms after an exit. */
declare module "@lydell/node-pty/requireBinary.js" {
  export function requireBinary(file: "pty.node"): {
    /** The program's end comes as its exit status and the number of the signal that ended it, or 0. */
    fork(
      file: string,
      args: readonly string[],
      environment: readonly string[],
      cwd: string,
      columns: number,
      rows: number,
      uid: -1,
      gid: -1,
      isUtf8: boolean,
      helperPath: string,
      onExit: (status: number, signal: number) => void,
    ): { readonly fd: number; readonly pid: number; readonly pty: string };
    resize(fd: number, columns: number, rows: number): void;
  };
}
