import { DateTime, Schema } from "effect"

/** The forge answers no more requests for this repository until `resetAt`. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  repository: Schema.String,
  resetAt: Schema.DateTimeUtcFromString
}) {
  override get message(): string {
    return `The forge refused ${this.repository}: the rate limit is spent until ${DateTime.formatIso(this.resetAt)}`
  }

  /** What to do about it. */
  get hint(): string {
    return `Sync ${this.repository} again after ${DateTime.formatIso(this.resetAt)}. ` +
      "Without FORGE_TOKEN the limit is low; a token raises it."
  }
}

/** The forge does not accept the token, or wants one. */
export class TokenRefused extends Schema.TaggedError<TokenRefused>()("TokenRefused", {
  repository: Schema.String,
  status: Schema.Int,
  tokenSent: Schema.Boolean
}) {
  override get message(): string {
    return `The forge refused ${this.repository} with status ${this.status}: ` +
      (this.tokenSent ? "the token is wrong, expired or not allowed to read issues" : "it wants a token")
  }

  /** What to do about it. */
  get hint(): string {
    return this.tokenSent
      ? `Set FORGE_TOKEN to a valid token with read access to the issues of ${this.repository}, then start Dispatch again.`
      : `Set FORGE_TOKEN to a token with read access to the issues of ${this.repository}, then start Dispatch again.`
  }
}

/** The forge does not know the repository, or hides it from this token. */
export class RepositoryNotFound extends Schema.TaggedError<RepositoryNotFound>()("RepositoryNotFound", {
  repository: Schema.String
}) {
  override get message(): string {
    return `The forge has no repository ${JSON.stringify(this.repository)} with issues that Dispatch may read`
  }

  /** What to do about it. */
  get hint(): string {
    return "Check the spelling (owner/name), that issues are enabled there, " +
      "and that FORGE_TOKEN may read the repository if it is private."
  }
}

/** The forge could not be reached, or failed on its side, after all retries. */
export class ForgeUnavailable extends Schema.TaggedError<ForgeUnavailable>()("ForgeUnavailable", {
  repository: Schema.String,
  url: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The forge could not answer for ${this.repository} at ${this.url}: ${this.reason}`
  }

  /** What to do about it. */
  get hint(): string {
    return "Check that FORGE_URL is right and reachable, or wait until the forge has recovered, then sync again."
  }
}

/** The forge took the request and did not answer in time. */
export class ForgeTimeout extends Schema.TaggedError<ForgeTimeout>()("ForgeTimeout", {
  repository: Schema.String,
  url: Schema.String,
  millis: Schema.Finite
}) {
  override get message(): string {
    return `The forge did not answer for ${this.repository} at ${this.url} within ${this.millis} ms`
  }

  /** What to do about it. */
  get hint(): string {
    return "The forge is slow or stuck. Sync again later; the last mirrored state of the repository stays in use."
  }
}

/** The forge answered with something that is not a page of issues. */
export class ForgePayloadRefused extends Schema.TaggedError<ForgePayloadRefused>()("ForgePayloadRefused", {
  repository: Schema.String,
  url: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The answer for ${this.repository} from ${this.url} is unusable: ${this.reason}`
  }

  /** What to do about it. */
  get hint(): string {
    return "Check that FORGE_URL names the root of a GitHub-compatible REST API and that no proxy changes its answers. " +
      "Nothing of this answer was used."
  }
}

/** Everything that can go wrong between Dispatch and the forge. */
export const ForgeError = Schema.Union([
  RateLimited,
  TokenRefused,
  RepositoryNotFound,
  ForgeUnavailable,
  ForgeTimeout,
  ForgePayloadRefused
])

/** Everything that can go wrong between Dispatch and the forge. */
export type ForgeError = typeof ForgeError.Type
