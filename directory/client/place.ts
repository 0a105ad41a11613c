export interface Place {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
}

/** Where an http, https, ws or wss URL leads to. */
export function placeOf(url: URL): Place {
  const isSecure = url.protocol === "https:" || url.protocol === "wss:";
  const port = Number(url.port) || (isSecure ? 443 : 80);
  return { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port, isSecure };
}
