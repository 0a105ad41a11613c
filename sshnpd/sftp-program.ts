import { fileURLToPath } from "node:url";

/** The program that serves sftp as another account; beside this file, in the bundle as well. */
export const SFTP_PROGRAM: string = fileURLToPath(new URL("./builtin/sftp-child.js", import.meta.url));
