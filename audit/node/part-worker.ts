/** A thread that reads parts of a log, and nothing besides. */

import { answerParts } from './part-thread.ts'

await answerParts()
