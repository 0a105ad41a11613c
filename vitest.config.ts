import { configDefaults, type ViteUserConfig } from "vitest/config";

/** Images take minutes to build, and their building takes the disk from everybody else: these tests run when they are named. */
const COMPOSE = "test/compose";
const isNamed = process.argv.some((word) => word.includes(COMPOSE));

const config: ViteUserConfig = {
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...(isNamed ? [] : [`${COMPOSE}/**`])],
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
