import { redis } from "../../../test/loops/redis.ts"
import { suite } from "../../../test/loops/suite.ts"
import { make } from "./support.ts"

suite("Redis", redis, make, { points: ["unanswered"] })
