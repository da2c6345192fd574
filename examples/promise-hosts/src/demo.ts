import { serveExpress } from "./ExpressHost.ts"
import { serveFastify } from "./FastifyHost.ts"
import { play } from "./Play.ts"

const say = (line: string): void => console.log(line)

await play(serveExpress, say)
await play(serveFastify, say)
