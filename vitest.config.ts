import { defineConfig, type ViteUserConfigExport } from 'vitest/config'
import { SlowFirst } from './test/order.ts'

const config: ViteUserConfigExport = defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup.ts'],
    // Real processes take long to start where other work has the cores.
    testTimeout: 60_000,
    // Most of them wait for processes of their own: two at a time keep two cores busy.
    maxWorkers: 2,
    sequence: { sequencer: SlowFirst },
    hookTimeout: 120_000,
    // Hundreds of `writ` processes are started: each finds its sources stripped and compiled already.
    env: { NODE_COMPILE_CACHE: `${import.meta.dirname}/.cache/compile` },
    reporters: process.env['CI'] ? ['default', ['json', { outputFile: '.cache/vitest.json' }]] : ['default'],
  },
})
export default config
