/** Charts of lines over time, one below the other, as SVG. */
import type { Point } from "./slope.ts"

export interface Panel {
  readonly title: string
  readonly lines: ReadonlyArray<{ readonly name: string; readonly points: ReadonlyArray<Point> }>
}

const colours = ["#2563eb", "#d97706", "#059669", "#9333ea"]
const width = 760
const height = 150
const left = 70
const top = 28
const inner = { width: width - left - 20, height: height - top - 30 }

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("\"", "&quot;")

const label = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)))

const draw = ({ lines, title }: Panel, y: number, warmUp: number): string => {
  const all = lines.flatMap(({ points }) => points)
  const end = Math.max(...all.map(([at]) => at), 0.001)
  // From zero: a flat line looks flat, and growth as steep as it is.
  const most = Math.max(...all.map(([, value]) => value), 0.001) * 1.1
  const x = (at: number): number => left + inner.width * (at / end)
  const at = (value: number): number => y + top + inner.height * (1 - value / most)
  const grid = [0, 0.5, 1].map((part) => {
    const line = at((most / 1.1) * part).toFixed(1)
    return `<line x1="${left}" x2="${left + inner.width}" y1="${line}" y2="${line}" stroke="#e5e7eb"/>` +
      `<text x="${left - 8}" y="${line}" dy="4" text-anchor="end">${label((most / 1.1) * part)}</text>`
  })
  const marks = [0, 0.25, 0.5, 0.75, 1].map((part) =>
    `<text x="${x(end * part).toFixed(1)}" y="${y + height - 12}" text-anchor="middle">${label(end * part)} min</text>`
  )
  const drawn = lines.map(({ points }, index) =>
    `<polyline fill="none" stroke="${colours[index % colours.length]}" stroke-width="1.5" points="${
      points.map(([time, value]) => `${x(time).toFixed(1)},${at(value).toFixed(1)}`).join(" ")
    }"/>`
  )
  const names = lines.map(({ name }, index) =>
    `<tspan fill="${colours[index % colours.length]}">${index === 0 ? "" : "  "}${escape(name)}</tspan>`
  )
  return [
    `<rect x="${left}" y="${y + top}" width="${
      (x(warmUp) - left).toFixed(1)
    }" height="${inner.height}" fill="#f3f4f6"/>`,
    ...grid,
    ...marks,
    ...drawn,
    `<text x="${left}" y="${y + 18}" font-weight="bold">${escape(title)}</text>`,
    `<text x="${left + inner.width}" y="${y + 18}" text-anchor="end" xml:space="preserve">${names.join("")}</text>`
  ].join("\n")
}

/** The time up to `warmUp` minutes is shaded. */
export const chart = (panels: ReadonlyArray<Panel>, warmUp: number): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height * panels.length}" ` +
    `viewBox="0 0 ${width} ${height * panels.length}" font-family="sans-serif" font-size="12" fill="#374151">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    ...panels.map((panel, index) => draw(panel, index * height, warmUp)),
    "</svg>",
    ""
  ].join("\n")
