/** How many statements are under way at a time, over all kinds that share statements. */

/**
 * With one, this process and the server would wait for each other in turns; with many, statements would be small, and each
 * costs the server as much as ten of its requests.
 */
const usual = 3

/** What is not worth a statement of its own. */
const fewest = 10

export class Lanes {
  private busy = 0
  private readonly pumps: Array<() => void> = []

  /**
   * Whether a kind with so many statements under way may send another one. One is always free: a kind whose statements
   * wait for locks does not hold up the others.
   */
  isOpen(own: number): boolean {
    return own === 0 || this.busy < usual
  }

  /** How many of so many requests go with the next statement: the rest goes at the same time, by the other lanes. */
  share(waiting: number): number {
    return waiting <= fewest ? waiting : Math.ceil(waiting / Math.max(1, usual - this.busy))
  }

  enter(): void {
    this.busy++
  }

  /** Lets go on who waits: another one first each time. */
  leave(): void {
    this.busy--
    const first = this.pumps.shift()
    if (first !== undefined) this.pumps.push(first)
    for (const pump of this.pumps) pump()
  }

  onLeave(pump: () => void): void {
    this.pumps.push(pump)
  }
}
