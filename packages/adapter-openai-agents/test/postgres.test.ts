import { join } from "node:path"
import { killed } from "../../../test/loops/killed.ts"
import { postgres } from "../../../test/loops/postgres.ts"
import { suite } from "../../../test/loops/suite.ts"
import { make } from "./support.ts"

suite("Postgres", postgres, make, { points: ["unanswered"] })

killed(join(import.meta.dirname, "fixtures/worker.ts"))
