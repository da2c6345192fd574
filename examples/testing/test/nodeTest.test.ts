import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { expect, it } from "vitest"

it("the tests of node:test pass, too", async () => {
  const file = join(import.meta.dirname, "upkeep.node.ts")
  // A process that believes to be a part of another test run reports to that.
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined }
  const args = ["--conditions=@everbeat/source", "--test", "--test-reporter=tap", file]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env })
  expect(stdout).toContain("# pass 4\n")
  expect(stdout).toContain("# fail 0\n")
})
