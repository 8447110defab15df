import { defineConfig, type ViteUserConfigExport } from 'vitest/config'

/** `npm run drill:rotation`: whole rotations under traffic, longer than what each change waits for. */
const config: ViteUserConfigExport = defineConfig({
  test: {
    include: ['test/e2e/rotation.drill.ts', 'test/e2e/replicas.test.ts'],
    globalSetup: ['test/setup.ts'],
    testTimeout: 300_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
})
export default config
