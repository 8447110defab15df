/** The shape of a path, by which calls are grouped: `/orders/17` and `/orders/18` are both `/orders/{}`. */

const maxSteps = 12
const maxStepLength = 40

/** A step is a value rather than a name where it holds a digit (but `v1` and `oauth2` are names), an escape, or is long. */
export function pathShape(path: string): string {
  const steps = path.split('/')
  const shape = steps.slice(0, maxSteps + 1).map((step) => (isValue(step) ? '{}' : step))
  return `${shape.join('/')}${steps.length > maxSteps + 1 ? '/…' : ''}`
}

export const isValue = (step: string): boolean =>
  step.length > maxStepLength || step.includes('%') || (/\d/.test(step) && !/^[A-Za-z]+\d{1,2}$/.test(step))
