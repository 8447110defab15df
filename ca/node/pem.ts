/** PEM beside what reads and writes its files; the text itself needs no machine (ca/pem.ts). */

export { certificatesOf, keyOf, pemOf } from '../pem.ts'
