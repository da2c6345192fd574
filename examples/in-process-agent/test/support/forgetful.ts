/** A process like `worker.ts`, with an agent that forgets everything when it is resumed. The demo has to notice. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Coder from "../../src/Coder.ts"
import * as Host from "../../src/Host.ts"

const forgetful = (settings: Coder.Settings) => Coder.make(settings, (ctx) => Coder.run({ ...ctx, resume: undefined }))

NodeRuntime.runMain(Host.run(forgetful, process.argv.slice(2)))
