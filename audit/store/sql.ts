/** Small words for SQL that both drivers take alike. */

/** Rows that a statement with `returning` gave back, or a query. Both drivers have them under this name. */
export async function rowsOf<Row>(result: PromiseLike<unknown>): Promise<readonly Row[]> {
  return ((await result) as { readonly rows: readonly Row[] }).rows
}
