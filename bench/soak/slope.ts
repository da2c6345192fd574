/** Whether something grows: the slope of its line, which a few odd samples do not turn. */
import { median } from "../support/numbers.ts"

/** A moment in minutes, and what was measured. */
export type Point = readonly [minutes: number, value: number]

/** The median of the slopes between all pairs of points (Theil and Sen), in units per minute. */
const slopeOf = (points: ReadonlyArray<Point>): number => {
  const slopes = points.flatMap(([at, value], index) =>
    points.slice(index + 1).flatMap(([later, other]) => later > at ? [(other - value) / (later - at)] : [])
  )
  return slopes.length === 0 ? 0 : median(slopes)
}

/** What is allowed: a share of the median, or so many units where that is more, over the whole time after the warm-up. */
export interface Allowance {
  readonly share: number
  readonly units: number
}

export interface Growth {
  readonly name: string
  readonly median: number
  readonly perMinute: number
  /** What the slope comes to over the whole time after the warm-up. */
  readonly total: number
  readonly allowed: number
  readonly holds: boolean
}

export const growthOf = (name: string, points: ReadonlyArray<Point>, { share, units }: Allowance): Growth => {
  const perMinute = slopeOf(points)
  const middle = points.length === 0 ? 0 : median(points.map(([, value]) => value))
  const total = perMinute * ((points.at(-1)?.[0] ?? 0) - (points[0]?.[0] ?? 0))
  const allowed = Math.max(middle * share, units)
  return { name, median: middle, perMinute, total, allowed, holds: total <= allowed }
}
