/**
 * Calls later what it is given now, and never one before another that came earlier: also when the delay ends meanwhile, and
 * when a busy process wakes up so late that the next one comes before the timer of the last.
 */
export const inOrder = (delayMillis: () => number): (call: () => void) => void => {
  const waiting: Array<{ readonly at: number; readonly call: () => void }> = []
  let last = 0
  const drain = (): void => {
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      const left = first.at - performance.now()
      if (left > 0) {
        setTimeout(drain, left)
        return
      }
      waiting.shift()
      first.call()
    }
  }
  return (call) => {
    const millis = delayMillis()
    if (waiting.length === 0 && millis === 0) return call()
    last = Math.max(last, performance.now() + millis)
    waiting.push({ at: last, call })
    if (waiting.length === 1) setTimeout(drain, millis)
  }
}
