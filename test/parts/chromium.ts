/** Chromium without a screen, driven by playwright-core: what a person sees of the console. */

import { debianProgram, findProgram } from './find.ts'
import { npmParts, resolveIn } from './npm.ts'
import type { Part, Say } from './part.ts'

export const chromium: Part = {
  install: 'Chromium or Chrome on the PATH (Debian: apt-get install chromium)',
  prepare: async (say) => {
    const [program] = await Promise.all([find(say), npmParts(say)])
    return program
  },
}

const find = async (say: Say): Promise<string> =>
  (await findProgram('google-chrome')) ?? debianProgram('chromium', 'chromium', say)

/** What the tests use of playwright's Locator. */
export interface Locator {
  click(): Promise<void>
  fill(text: string): Promise<void>
  press(key: string): Promise<void>
  count(): Promise<number>
  first(): Locator
  nth(index: number): Locator
  locator(selector: string): Locator
  isVisible(): Promise<boolean>
  textContent(): Promise<string | null>
  allTextContents(): Promise<string[]>
  getAttribute(name: string): Promise<string | null>
  waitFor(): Promise<void>
}

/** What the tests use of playwright's Page. Selectors: CSS, `text=...`, `role=button[name="..."]`. */
export interface Page {
  goto(url: string): Promise<{ status(): number } | null>
  reload(): Promise<unknown>
  url(): string
  title(): Promise<string>
  content(): Promise<string>
  locator(selector: string): Locator
  getByRole(role: string, options?: { readonly name?: string | RegExp; readonly exact?: boolean }): Locator
  getByText(text: string | RegExp): Locator
  getByLabel(text: string | RegExp): Locator
  waitForURL(url: string | RegExp): Promise<void>
  evaluate(script: string): Promise<unknown>
  setViewportSize(size: { readonly width: number; readonly height: number }): Promise<void>
  screenshot(options?: { readonly path?: string; readonly fullPage?: boolean }): Promise<Uint8Array>
  on(event: 'pageerror', listener: (error: Error) => void): unknown
  on(event: 'console', listener: (message: { type(): string; text(): string }) => void): unknown
}

export interface Browser {
  newPage(options?: {
    readonly javaScriptEnabled?: boolean
    readonly ignoreHTTPSErrors?: boolean
    readonly colorScheme?: 'light' | 'dark'
  }): Promise<Page>
  close(): Promise<void>
}

interface Playwright {
  readonly chromium: {
    launch(options: { readonly executablePath: string; readonly args: readonly string[] }): Promise<Browser>
  }
}

export async function startChromium(): Promise<Browser> {
  const quiet: Say = () => undefined
  const playwright: Playwright = resolveIn(await npmParts(quiet))('playwright-core')
  // Root may not use the sandbox, and a small /dev/shm is common in CI.
  const args = process.getuid?.() === 0 ? ['--no-sandbox', '--disable-dev-shm-usage'] : []
  return playwright.chromium.launch({ executablePath: await find(quiet), args })
}
