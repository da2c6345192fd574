/**
 * FNV-1a, 32 bits, over UTF-16 code units: stable across processes and
 * versions, which `effect/Hash` does not promise. Not for anything an
 * adversary can choose.
 *
 * @see http://www.isthe.com/chongo/tech/comp/fnv/
 */
export const fnv1a = (text: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash >>> 0
}
