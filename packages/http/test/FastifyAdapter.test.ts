import { assert, describe, it } from "@effect/vitest"
import { FastifyAdapter } from "@everbeat/http"
import fastify from "fastify"

const echo = {
  fetch: async (request: Request) => new Response(await request.text(), { headers: { "x-own": "1" } })
}

const post = { method: "POST", url: "/api/x", headers: { "content-type": "application/json" }, payload: "{" } as const

describe("FastifyAdapter", () => {
  it("leaves the parsers, the routes and the errors of the host as they are", async () => {
    const app = fastify()
    app.post("/own", (request) => ({ got: request.body }))
    void app.register(FastifyAdapter.toFastifyPlugin(echo), { prefix: "/api" })
    const own = await app.inject({ method: "POST", url: "/own", payload: { a: 1 } })
    assert.deepStrictEqual(own.json(), { got: { a: 1 } })
    assert.strictEqual((await app.inject({ ...post, url: "/own" })).json().code, "FST_ERR_CTP_INVALID_JSON_BODY")
    assert.strictEqual((await app.inject("/nope")).json().error, "Not Found")
    const answer = await app.inject(post)
    assert.deepStrictEqual([answer.statusCode, answer.body], [200, "{"])
    await app.close()
  })

  it("sends what hooks of the host have set, and what hooks refuse is theirs", async () => {
    const app = fastify()
    app.setErrorHandler((_error, _request, reply) => reply.code(418).send({ host: true }))
    app.addHook("onRequest", async (request, reply) => {
      reply.header("x-hook", 7).header("set-cookie", ["a=1", "b=2"])
      if (request.headers["x-refuse"] !== undefined) throw new Error("refused")
    })
    void app.register(FastifyAdapter.toFastifyPlugin(echo), { prefix: "/api" })
    const { headers } = await app.inject(post)
    assert.deepStrictEqual(
      [headers["x-hook"], headers["set-cookie"], headers["x-own"]],
      ["7", ["a=1", "b=2"], "1"]
    )
    const refused = await app.inject({ ...post, headers: { ...post.headers, "x-refuse": "1" } })
    assert.deepStrictEqual([refused.statusCode, refused.json()], [418, { host: true }])
    await app.close()
  })

  for (const disposeOnClose of [true, false]) {
    it(`${disposeOnClose ? "disposes" : "leaves"} the handler when Fastify closes, whatever becomes of it`, async () => {
      let disposed = 0
      const dispose = async () => {
        disposed++
        throw new Error("too late")
      }
      const app = fastify()
      void app.register(FastifyAdapter.toFastifyPlugin({ ...echo, dispose }, { disposeOnClose }), { prefix: "/api" })
      await app.ready()
      await app.close()
      assert.strictEqual(disposed, disposeOnClose ? 1 : 0)
    })
  }
})
