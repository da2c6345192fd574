const maxLength = 2048

/** How a record names what a run touched: readers make links of it, so it is an http(s) URL and nothing else. */
export const touchedUrl = (url: string | URL): string | undefined => {
  const text = String(url)
  if (!URL.canParse(text)) return undefined
  const { href, protocol } = new URL(text)
  return (protocol === "http:" || protocol === "https:") && href.length <= maxLength ? href : undefined
}
