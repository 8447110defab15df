/** The log for those outside the package: its formats, its proofs, and the verifier. It runs on any host. */

export { formatCheckpoint, parseCheckpoint } from './log/checkpoint.ts'
export { type CosignerKey, cosignaturesOf, formatCosignerKey, parseCosignerKey } from './log/cosignature.ts'
export { leafHash, verifyConsistency, verifyInclusion } from './log/merkle.ts'
export { formatVerifierKey, type NoteKey, openNote, parseVerifierKey } from './log/note.ts'
export { type LogPolicy, meetsQuorum, parsePolicy } from './log/policy.ts'
export { formatReceipt, parseReceipt, verifyReceipt } from './log/receipt.ts'
export { decodeBundle, type TileReader, tilePath } from './log/tiles.ts'
export { formatVerification } from './verify/format.ts'
export { type Verification, type VerifyParts, verifyLog } from './verify/verify.ts'
