/** Milliseconds of processor time that this process spends on `action`, however busy the machine is with others. */
export function processorMs(action: () => void): number {
  const before = process.cpuUsage();
  action();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
