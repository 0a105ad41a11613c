import { fileURLToPath } from "node:url";

/** The program that holds a terminal where there is no script(1); beside this file, in the bundle as well. */
export const TERMINAL_PROGRAM: string = fileURLToPath(new URL("./builtin/terminal-child.js", import.meta.url));
