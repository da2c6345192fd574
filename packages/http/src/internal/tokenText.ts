/** The text of a token: its parts and its checksum. */
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

export const secretLength = 43
const checksumLength = 6

const base62 = (value: bigint, length: number): string => {
  let text = ""
  for (let rest = value; rest > 0n; rest /= 62n) text = (alphabet[Number(rest % 62n)] ?? "") + text
  return text.padStart(length, "0")
}

export const textOfBytes = (bytes: Uint8Array, length: number): string => {
  let value = 0n
  for (const byte of bytes) value = value * 256n + BigInt(byte)
  return base62(value, length)
}

/** CRC-32 (IEEE 802.3), as scanners of secrets compute it. */
const crc32 = (text: string): number => {
  let crc = 0xffff_ffff
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0)
  }
  return (crc ^ 0xffff_ffff) >>> 0
}

export const checksumOf = (text: string): string => base62(BigInt(crc32(text)), checksumLength)

const pattern = /^evb_([a-z0-9]{1,16})_([A-Za-z0-9]{1,64})_[0-9A-Za-z]{49}$/u

export const isEnvironment = (text: string): boolean => /^[a-z0-9]{1,16}$/u.test(text)
export const isId = (text: string): boolean => /^[A-Za-z0-9]{1,64}$/u.test(text)

export const partsOf = (text: string): { readonly environment: string; readonly tokenId: string } | undefined => {
  const [, environment, tokenId] = pattern.exec(text) ?? []
  if (environment === undefined || tokenId === undefined) return undefined
  return checksumOf(text.slice(0, -checksumLength)) === text.slice(-checksumLength)
    ? { environment, tokenId }
    : undefined
}
