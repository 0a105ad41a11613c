declare module "ssh2/lib/protocol/constants.js" {
  const constants: { readonly TERMINAL_MODE: Record<string, number | string> };
  // eslint-disable-next-line import/no-default-export
  export default constants;
}
