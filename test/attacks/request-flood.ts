import type { Attack } from "./attack.ts";
import { AttackingMember } from "./member.ts";
import { pace } from "./traffic.ts";

const PER_SECOND = 20;

/** A member that no device admits asks one of them, far more often than it may. */
export const requestFlood: Attack = {
  name: "request-flood",
  surface: "directory and device: session requests of an activated name that is not admitted",
  async run(target, signal) {
    const member = await AttackingMember.of(await target.stranger(), target.stack.address);
    const linksLost = target.stack.directory.stderr.split('"msg":"link down"').length;
    let passed = 0;
    let failed = 0;
    const open = new Set<Promise<void>>();
    const ask = async (): Promise<void> => {
      try {
        const asked = await member.ask(signal);
        if (asked === undefined) failed++;
        else {
          passed++;
          await asked.answer;
        }
      } catch {
        // cut off with the attack
      }
    };
    await pace(PER_SECOND, signal, () => {
      const asking = ask().finally(() => open.delete(asking));
      open.add(asking);
    });
    await Promise.all(open);
    const lost = target.stack.directory.stderr.split('"msg":"link down"').length - linksLost;
    if (lost > 0) throw new Error(`the device lost its link ${lost} times`);
    if (passed === 0) throw new Error("no request reached the device");
    return `${passed} requests passed on, ${failed} refused by the directory`;
  },
};
