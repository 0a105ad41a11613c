import { configDefaults, type ViteUserConfig } from "vitest/config";

/** Images take minutes to build, and their building takes the disk from everybody else: these tests run when they are named. */
const COMPOSE = "test/compose";
const isNamed = process.argv.some((word) => word.includes(COMPOSE));
/** For who runs `npm run attack` as well, where each attack takes longer and has a system of its own. */
const ATTACKS = "test/attacks/attacks.test.ts";
const isApart = process.env["SSHNP_ATTACKS_APART"] === "1" && !process.argv.includes(ATTACKS);

const config: ViteUserConfig = {
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...(isNamed ? [] : [`${COMPOSE}/**`]), ...(isApart ? [ATTACKS] : [])],
    setupFiles: ["test/support/stop-processes.ts"],
    // Real processes on two busy cores; a wait that ends earlier would only make tests fail at random.
    testTimeout: 60_000,
    maxWorkers: 2, // they wait for processes, one file leaves half of the processor idle
    maxConcurrency: 10, // tests of faults wait most of their time
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
  },
};

export default config;
