/** One process that hosts the agent. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Coder from "./Coder.ts"
import * as Host from "./Host.ts"

NodeRuntime.runMain(Host.run(Coder.make, process.argv.slice(2)))
