/** Sizes of texts as stores pay for them. */
const encoder = new TextEncoder()

/** Whether a text takes more bytes of UTF-8. Encoded only when its length leaves that open: a character takes 1 to 3. */
export const takesMore = (text: string, bytes: number): boolean =>
  text.length > bytes || (text.length * 3 > bytes && encoder.encode(text).length > bytes)
