/** `npm run kafka:contract`: what takes minutes, of kafkajs and of a second client, on brokers that crash and move. */

import { defineConfig, type ViteUserConfigExport } from 'vitest/config'

const config: ViteUserConfigExport = defineConfig({
  test: {
    include: ['test/e2e/kafka/*.contract.ts'],
    globalSetup: ['test/setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    fileParallelism: false, // Each has brokers of its own.
  },
})
export default config
