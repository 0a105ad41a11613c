/** What attackers know of a system wherever they are. It can be said in JSON. */
export interface Site {
  readonly directoryPort: number;
  /** Past the interceptor. */
  readonly rendezvousPort: number;
  /** The directory's address, with its fingerprint. */
  readonly address: string;
  /** Folder with the keys of @mallory, an activated name that no device admits. */
  readonly strangerKeys: string;
  /** Folder with the keys of a device of @eve, another activated name. */
  readonly deviceKeys: string;
}
