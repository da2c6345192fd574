/**
 * The fixed part of every problem: `type` and `status` never change once
 * published, `title` is the same for every occurrence.
 */
const base = "https://everbeat.dev/problems/"

export const declared = {
  InvalidRequest: { type: `${base}invalid-request`, status: 400, title: "The request is malformed" },
  Unauthorized: { type: `${base}unauthorized`, status: 401, title: "Missing or invalid agent token" },
  WrongAgent: { type: `${base}wrong-agent`, status: 403, title: "This token may not act for that agent" },
  InsufficientScope: { type: `${base}insufficient-scope`, status: 403, title: "This token may not do that" },
  AgentNotFound: { type: `${base}agent-not-found`, status: 404, title: "The agent has no heartbeat here" },
  RunNotFound: { type: `${base}run-not-found`, status: 404, title: "No such run of this agent" },
  RouteNotFound: { type: `${base}route-not-found`, status: 404, title: "No such address" },
  MethodNotAllowed: { type: `${base}method-not-allowed`, status: 405, title: "Method not allowed" },
  RunInProgress: { type: `${base}run-in-progress`, status: 409, title: "A run of this agent is in progress" },
  RunCancelled: { type: `${base}run-cancelled`, status: 409, title: "The run was cancelled" },
  RunNotResumable: { type: `${base}run-not-resumable`, status: 409, title: "An interrupted run blocks this agent" },
  RunSettled: { type: `${base}run-settled`, status: 409, title: "The run has ended" },
  PayloadTooLarge: { type: `${base}payload-too-large`, status: 413, title: "The request body is too large" },
  UnsupportedMediaType: { type: `${base}unsupported-media-type`, status: 415, title: "The request body is not JSON" },
  IdempotencyKeyReused: {
    type: `${base}idempotency-key-reused`,
    status: 422,
    title: "The idempotency key was used with another payload"
  },
  InvalidPayload: { type: `${base}invalid-payload`, status: 422, title: "The payload does not fit its schema" },
  RateLimited: { type: `${base}rate-limited`, status: 429, title: "Too many heartbeats of this agent" },
  ClientClosedRequest: { type: `${base}client-closed-request`, status: 499, title: "The client closed the request" },
  InternalError: { type: `${base}internal-error`, status: 500, title: "Internal error" },
  BodyAlreadyConsumed: {
    type: `${base}body-already-consumed`,
    status: 500,
    title: "The request body was consumed before the handler"
  },
  PassFailed: { type: `${base}pass-failed`, status: 500, title: "The pass ended with an error" },
  NotOffered: { type: `${base}not-offered`, status: 501, title: "This host does not offer that" },
  AuthUnavailable: { type: `${base}auth-unavailable`, status: 503, title: "Tokens cannot be verified right now" },
  StoreUnavailable: { type: `${base}store-unavailable`, status: 503, title: "The store does not answer" },
  RunInterrupted: { type: `${base}run-interrupted`, status: 503, title: "The run was interrupted" },
  RunNotRecorded: { type: `${base}run-not-recorded`, status: 503, title: "The pass ran but could not be recorded" },
  ShuttingDown: { type: `${base}shutting-down`, status: 503, title: "The service is shutting down" },
  NotReady: { type: `${base}not-ready`, status: 503, title: "The service could not start" }
} as const

// The cast restores what `Object.keys` forgets: nothing adds keys to the literal above.
export const declaredNames = Object.keys(declared) as ReadonlyArray<keyof typeof declared>
