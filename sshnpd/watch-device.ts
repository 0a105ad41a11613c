import type { DeviceWatch } from "./device-metrics.ts";

/** What counts for --metrics, loaded for those alone who ask for it. @throws {SetupError} E_USAGE. */
export async function watchDevice({
  metrics,
  mqtt,
}: {
  /** HOST:PORT. */
  readonly metrics?: string | undefined;
  readonly mqtt?: object | undefined;
}): Promise<DeviceWatch | undefined> {
  if (metrics === undefined) return undefined;
  const { DeviceWatch } = await import("./device-metrics.ts");
  return new DeviceWatch(metrics, { hasBroker: mqtt !== undefined });
}
