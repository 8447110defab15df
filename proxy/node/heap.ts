/** How V8 collects in a process that serves. */

import { setFlagsFromString } from 'node:v8'

/**
 * Lets the heap of old objects grow fourfold after a collection of all objects before the next begins. V8 would begin with
 * far less, some 40 MiB of a proxy, every few hundred milliseconds, and each costs a core tens of milliseconds; this costs
 * up to three times the memory of what lives, 120 MiB in a proxy. The limit of the heap (`--max-old-space-size`) stays.
 */
export function collectSeldom(): void {
  setFlagsFromString('--heap-growing-percent=300')
}
