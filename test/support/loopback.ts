import { networkInterfaces } from "node:os";

/** The loopback addresses of this machine that `localhost` stands for; in some containers there is no ::1. */
export const LOOPBACK_ADDRESSES: readonly string[] = ["127.0.0.1", "::1"].filter((address) =>
  Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === address)),
);
