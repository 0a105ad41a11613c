import type { ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = {
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/stop-processes.ts"],
    // Real processes on two busy cores; a wait that ends earlier would only make tests fail at random.
    testTimeout: 60_000,
    maxConcurrency: 10, // tests of faults wait most of their time
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
  },
};

export default config;
