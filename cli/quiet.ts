/** Keeps two things off the terminal that tell its reader nothing. */

/** A warning of Node that kafkajs causes with each queued request: it asks for a timer in the past, and gets one now. */
const known = 'TimeoutNegativeWarning'

export function quietProcess(): void {
  // Whoever read our output is gone (`| head -1`, a closed terminal): the work itself goes on to its end.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== 'EPIPE' && thrown.code !== 'EIO') throw thrown
    })
  }
  const printers = process.listeners('warning')
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    if (warning.name !== known) for (const print of printers) print.call(process, warning)
  })
}
