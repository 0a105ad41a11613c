/* eslint-disable import/no-default-export */
declare module "ssh2/lib/protocol/constants.js" {
  const constants: { readonly TERMINAL_MODE: Record<string, number | string> };
  export default constants;
}

declare module "ssh2/lib/protocol/handlers.js" {
  /** By the number of the message. */
  const handlers: (((protocol: object, payload: Buffer) => void) | undefined)[];
  export default handlers;
}
