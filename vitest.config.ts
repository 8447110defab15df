import { defineConfig, type ViteUserConfigExport } from 'vitest/config'
import { SlowFirst } from './test/order.ts'

/** Files share a worker and what it has imported, which halves their cost; those that start whole meshes have a process each. */
const all = ['test/**/*.test.ts']
const own = ['test/e2e/**/*.test.ts']
/** Long ones among them, which are begun early instead. */
const long = ['test/engine/conformance/conformance.test.ts']
/** Run by `npm run test:seldom` alone: minutes of what a change seldom touches, or what has a longer script of its own. */
const seldom = ['test/e2e/kafka/partitions.test.ts', 'test/engine/node/opa-wasm.test.ts']

const config: ViteUserConfigExport = defineConfig({
  test: {
    projects: process.env['SELDOM']
      ? [{ extends: true, test: { name: 'seldom', include: seldom } }]
      : [
          {
            extends: true,
            test: { name: 'shared', isolate: false, include: all, exclude: [...own, ...long, ...seldom] },
          },
          { extends: true, test: { name: 'own', include: own, exclude: seldom } },
          { extends: true, test: { name: 'long', include: long } },
        ],
    globalSetup: ['test/setup.ts'],
    // Real processes take long to start where other work has the cores.
    testTimeout: 60_000,
    // Many of them wait for processes of their own: four at a time keep two cores busy.
    maxWorkers: 4,
    sequence: { sequencer: SlowFirst },
    hookTimeout: 120_000,
    // Hundreds of `writ` processes are started: each finds its sources stripped and compiled already.
    env: { NODE_COMPILE_CACHE: `${import.meta.dirname}/.cache/compile` },
    reporters: process.env['CI'] ? ['default', ['json', { outputFile: '.cache/vitest.json' }]] : ['default'],
  },
})
export default config
