/** Charts as SVG, with nothing to load: for GitHub in the light and in the dark. */

/** How something grows. */
export interface LineChart {
  /** Name of the file, without its ending. */
  readonly name: string
  readonly title: string
  /** What is to the right; its values are the same for every line. */
  readonly x: { readonly label: string; readonly values: ReadonlyArray<number> }
  /** What is up; on a logarithmic scale. */
  readonly y: { readonly label: string }
  readonly lines: ReadonlyArray<{ readonly name: string; readonly values: ReadonlyArray<number> }>
}

/** One number of each. */
export interface BarChart {
  readonly name: string
  readonly title: string
  /** What the length of a bar is, on a logarithmic scale. */
  readonly label: string
  readonly bars: ReadonlyArray<{ readonly name: string; readonly value: number }>
}

export type Chart = LineChart | BarChart

const width = 860
const height = 440
const plot = { left: 70, right: 590, top: 50, bottom: 380 }
const colours = ["#d62728", "#ff7f0e", "#9467bd", "#8c564b", "#1f77b4", "#2ca02c", "#17becf", "#7f7f7f", "#bcbd22"]

const escaped = (text: string): string => text.replace(/&/gu, "&amp;").replace(/</gu, "&lt;").replace(/>/gu, "&gt;")

const numbered = (value: number): string =>
  value >= 1 ? value.toLocaleString("en-US") : String(Number(value.toFixed(6)))

/** A scale whose steps are factors. */
const logarithmic = (from: number, to: number, start: number, end: number) => (value: number): number => {
  const share = (Math.log(value) - Math.log(from)) / (Math.log(to) - Math.log(from) || 1)
  return Math.round((start + share * (end - start)) * 10) / 10
}

const powers = (from: number, to: number): ReadonlyArray<number> => {
  const first = Math.floor(Math.log10(from))
  return Array.from({ length: Math.ceil(Math.log10(to)) - first + 1 }, (_, index) => 10 ** (first + index))
}

/** Lines below each other, none closer than a line of text. */
const spread = (wanted: ReadonlyArray<number>): ReadonlyArray<number> => {
  const order = wanted.map((at, index) => ({ at, index })).toSorted((a, b) => a.at - b.at)
  const places = new Map<number, number>()
  let free = plot.top
  for (const { at, index } of order) {
    free = Math.max(at, free)
    places.set(index, free)
    free += 17
  }
  return wanted.map((at, index) => places.get(index) ?? at)
}

const opening = (title: string, high: number): ReadonlyArray<string> => [
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${high}" role="img">`,
  `<title>${escaped(title)}</title>`,
  "<style>text{font:13px system-ui,sans-serif;fill:#57606a}.title{font-size:16px;font-weight:600}"
  + ".grid{stroke:#57606a;stroke-opacity:.25}.back{fill:#fff}"
  + "@media(prefers-color-scheme:dark){.back{fill:#0d1117}text{fill:#9ea7b3}.grid{stroke:#9ea7b3}}</style>",
  `<rect class="back" width="${width}" height="${high}"/>`,
  `<text class="title" x="${plot.left}" y="26">${escaped(title)}</text>`
]

const barsOf = ({ bars, label, title }: BarChart): string => {
  const [left, right, row] = [290, 760, 34]
  const values = bars.map(({ value }) => value).filter((value) => value > 0)
  const ticks = powers(Math.min(...values), Math.max(...values))
  const along = logarithmic(ticks[0] ?? 1, ticks.at(-1) ?? 1, left, right)
  const bottom = plot.top + bars.length * row
  const grid = ticks.map((tick) =>
    `<line class="grid" x1="${along(tick)}" x2="${along(tick)}" y1="${plot.top}" y2="${bottom}"/>`
    + `<text x="${along(tick)}" y="${bottom + 20}" text-anchor="middle">${numbered(tick)}</text>`
  )
  const drawn = bars.map(({ name, value }, index) => {
    const top = plot.top + index * row
    const length = Math.round(along(value) - left)
    return `<text x="${left - 10}" y="${top + 22}" text-anchor="end">${escaped(name)}</text>`
      + `<rect x="${left}" y="${top + 6}" width="${length}" height="${row - 12}" fill="${
        colours[index % colours.length]
      }"/>`
      + `<text x="${left + length + 8}" y="${top + 22}">${numbered(Math.round(value * 10) / 10)}</text>`
  })
  const below = `<text x="${(left + right) / 2}" y="${bottom + 44}" text-anchor="middle">${escaped(label)}</text>`
  return [...opening(title, bottom + 60), ...grid, ...drawn, below, "</svg>", ""].join("\n")
}

const linesOf = ({ lines, title, x, y }: LineChart): string => {
  const seen = lines.flatMap(({ values }) => values).filter((value) => value > 0)
  const ticks = powers(Math.min(...seen), Math.max(...seen))
  const right = logarithmic(x.values[0] ?? 1, x.values.at(-1) ?? 1, plot.left, plot.right)
  const up = logarithmic(ticks[0] ?? 1, ticks.at(-1) ?? 1, plot.bottom, plot.top)
  const labels = spread(lines.map(({ values }) => up(values.at(-1) ?? 1)))
  const horizontal = ticks.map((tick) =>
    `<line class="grid" x1="${plot.left}" x2="${plot.right}" y1="${up(tick)}" y2="${up(tick)}"/>`
    + `<text x="${plot.left - 8}" y="${up(tick) + 4}" text-anchor="end">${numbered(tick)}</text>`
  )
  const vertical = x.values.map((value) =>
    `<text x="${right(value)}" y="${plot.bottom + 20}" text-anchor="middle">${numbered(value)}</text>`
  )
  const drawn = lines.map(({ name, values }, index) => {
    const colour = colours[index % colours.length]
    const points = values.map((value, at) => `${right(x.values[at] ?? 1)},${up(value)}`)
    const dots = points.map((point) => {
      const [cx, cy] = point.split(",")
      return `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`
    })
    return `<polyline points="${points.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join("")}`
      + `<text x="${plot.right + 12}" y="${(labels[index] ?? 0) + 4}" style="fill:${colour}">${escaped(name)}</text>`
  })
  return [
    ...opening(title, height),
    ...horizontal,
    ...vertical,
    `<text x="${(plot.left + plot.right) / 2}" y="${plot.bottom + 44}" text-anchor="middle">${escaped(x.label)}</text>`,
    `<text x="16" y="${(plot.top + plot.bottom) / 2}" text-anchor="middle" `
    + `transform="rotate(-90 16 ${(plot.top + plot.bottom) / 2})">${escaped(y.label)}</text>`,
    ...drawn,
    "</svg>",
    ""
  ].join("\n")
}

export const svg = (chart: Chart): string => "bars" in chart ? barsOf(chart) : linesOf(chart)
