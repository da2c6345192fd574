/**
 * A loop of the AI SDK is killed in the middle of two parallel tools, and another process goes on. The last line is what
 * was found out as JSON; the exit code is 0 only if all of it is as promised.
 */
import { randomUUID } from "node:crypto"
import { startPostgres } from "../../../test/servers/postgres.ts"
import * as Release from "./Release.ts"

const killAt = 4
const given = process.env["EVERBEAT_STORE"]
const server = given === undefined ? await startPostgres() : undefined
const store = given ?? server?.url ?? ""
try {
  const { killed, lines, said } = await Release.play(store, `release_${randomUUID().slice(0, 8)}`, killAt)
  for (const [index, { attempt, name, pid, what }] of lines.entries()) {
    console.log(`process ${pid}, attempt ${attempt}: ${what === "asked" ? "the model decides on" : "did"} ${name}`)
    if (killed && index + 1 === killAt) console.log(`process ${pid} is killed with SIGKILL`)
  }
  const did = lines.filter(({ what }) => what === "did").map(({ name }) => name)
  const verdict = { killed, ...JSON.parse(said), did: did.length, repeated: did.length - new Set(did).size }
  console.log(JSON.stringify(verdict))
  if (!killed || verdict.status !== "ok" || verdict.repeated > 0) process.exitCode = 1
} finally {
  await server?.stop()
}
