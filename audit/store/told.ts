/** Which decisions' ends were told already: the first of two counts. A window of numbers for each run, the newest. */

/** Numbers in a window. */
const width = 32_768
/** Runs that are remembered: 4 KiB each. */
const maxRuns = 1024

interface Window {
  /** A multiple of eight; what lies below is not known here. */
  floor: number
  readonly bits: Uint8Array
}

export class Told {
  /** Least recently used first. */
  readonly #runs = new Map<string, Window>()

  /** A run of which nothing from `next` on can have been told yet. */
  begin(epoch: string, next: number): void {
    const known = this.#runs.get(epoch)
    this.#runs.delete(epoch)
    this.#runs.set(epoch, known ?? { floor: Math.ceil(next / 8) * 8, bits: new Uint8Array(width / 8) })
    if (this.#runs.size > maxRuns) this.#runs.delete(this.#runs.keys().next().value!)
  }

  /** Whether the number's end was told; undefined where only the store knows. */
  has(epoch: string, seq: number): boolean | undefined {
    const window = this.#runs.get(epoch)
    if (!window || seq < window.floor) return undefined
    const at = seq - window.floor
    return at < width && (window.bits[at >> 3]! & (1 << (at & 7))) !== 0
  }

  add(epoch: string, seq: number): void {
    const window = this.#runs.get(epoch)
    if (!window || seq < window.floor) return
    if (seq - window.floor >= width) moveOn(window, seq)
    const at = seq - window.floor
    window.bits[at >> 3]! |= 1 << (at & 7)
  }
}

/** So that `seq` stands at three quarters. */
function moveOn(window: Window, seq: number): void {
  const floor = Math.floor((seq - (width / 4) * 3) / 8) * 8
  const bytes = Math.min((floor - window.floor) / 8, window.bits.length)
  window.bits.copyWithin(0, bytes)
  window.bits.fill(0, window.bits.length - bytes)
  window.floor = floor
}
