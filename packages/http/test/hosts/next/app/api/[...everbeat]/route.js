// The test puts the routes where a host keeps its handler: evaluated by Next, imported by nobody.
const routes = () => globalThis[Symbol.for("@everbeat/http/test/next")]

export const GET = (request) => routes().GET(request)
export const HEAD = (request) => routes().HEAD(request)
export const POST = (request) => routes().POST(request)
export const PUT = (request) => routes().PUT(request)
export const PATCH = (request) => routes().PATCH(request)
export const DELETE = (request) => routes().DELETE(request)
export const OPTIONS = (request) => routes().OPTIONS(request)
