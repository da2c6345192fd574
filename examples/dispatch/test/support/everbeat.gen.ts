export interface paths {
    "/api/agents/{agentName}/heartbeat": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Run the agent's heartbeat
         * @description Runs the host's sync and reconcile steps for this agent and answers the report. Repeating a request with the same Idempotency-Key answers the recorded report. With `Prefer: respond-async` or `wait=n`, or when the host's own limit is over, the answer is 202 with the Location of the run, and the pass goes on. With `Accept: text/event-stream` the answer is its live progress, resumed by Last-Event-ID.
         */
        post: operations["agents.heartbeat"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/agents/{agentName}/runs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the agent's runs, newest first
         * @description Settled runs and runs in flight. `limit` is 50 when absent; `status` may be given several times. `from` and `until` bound the start, the first one included. A page ends at about 1 MiB of JSON: `next` continues after it.
         */
        get: operations["agents.listRuns"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/agents/{agentName}/runs/{runId}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read one run of the agent
         * @description With its structured diagnostics, step outcomes and attempts. With `Accept: text/event-stream` its live progress, resumed by Last-Event-ID: of a run of another process what is stored of it.
         */
        get: operations["agents.getRun"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/agents/{agentName}/runs/{runId}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel a run in flight
         * @description 200 with the record when the run is over by now, as when nobody held it; 202 when its owner was told, which stops it with its next save or renewal.
         */
        post: operations["agents.cancelRun"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/agents/{agentName}/checkpoints": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the agent's interrupted runs
         * @description Interrupted and exhausted runs when `status` is absent, those interrupted longest first.
         */
        get: operations["checkpoints.listCheckpoints"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/agents/{agentName}/checkpoints/{runId}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read what is stored of a run in flight
         * @description How far it came and how much is stored. The stored messages are not sent.
         */
        get: operations["checkpoints.getCheckpoint"];
        put?: never;
        post?: never;
        /**
         * Discard an interrupted run
         * @description Its checkpoint is deleted, with what the host kept of its files, and nothing is recorded. To keep a record, and the files for a while, cancel it.
         */
        delete: operations["checkpoints.discardCheckpoint"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/agents/{agentName}/checkpoints/{runId}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Continue an interrupted run
         * @description Also an exhausted one. The host's Recovery continues it in the background. The body is optional: `followUp` is told to the agent last, as an instruction.
         */
        post: operations["checkpoints.resumeCheckpoint"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Tell that the process answers
         * @description Needs no token and looks at nothing: also while the host starts, fails to start, or drains.
         */
        get: operations["health.live"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Tell whether heartbeats can be served
         * @description The host's services are built and its store answers. Needs a token of any agent, or of an operator, unless the host made it public.
         */
        get: operations["health.ready"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        UnauthorizedEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            reason: "missing" | "invalid";
            /** @enum {string} */
            type: "https://everbeat.dev/problems/unauthorized";
            /** @enum {number} */
            status?: 401;
            /** @enum {string} */
            title?: "Missing or invalid agent token";
        };
        InternalErrorEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/internal-error";
            /** @enum {number} */
            status?: 500;
            /** @enum {string} */
            title?: "Internal error";
        };
        AuthUnavailableEncoded: {
            detail: string;
            instance?: string;
            retryAfterSeconds: number;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/auth-unavailable";
            /** @enum {number} */
            status?: 503;
            /** @enum {string} */
            title?: "Tokens cannot be verified right now";
        };
        NotReadyEncoded: {
            detail: string;
            instance?: string;
            retryAfterSeconds: number;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/not-ready";
            /** @enum {number} */
            status?: 503;
            /** @enum {string} */
            title?: "The service could not start";
        };
        ShuttingDownEncoded: {
            detail: string;
            instance?: string;
            retryAfterSeconds: number;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/shutting-down";
            /** @enum {number} */
            status?: 503;
            /** @enum {string} */
            title?: "The service is shutting down";
        };
        StoreUnavailableEncoded: {
            detail: string;
            instance?: string;
            retryAfterSeconds: number;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/store-unavailable";
            /** @enum {number} */
            status?: 503;
            /** @enum {string} */
            title?: "The store does not answer";
        };
        HealthStatus: {
            /** @enum {string} */
            status: "pass";
        };
        InsufficientScopeEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            scope: "heartbeat" | "read" | "resume";
            /** @enum {string} */
            type: "https://everbeat.dev/problems/insufficient-scope";
            /** @enum {number} */
            status?: 403;
            /** @enum {string} */
            title?: "This token may not do that";
        };
        WrongAgentEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/wrong-agent";
            /** @enum {number} */
            status?: 403;
            /** @enum {string} */
            title?: "This token may not act for that agent";
        };
        InvalidRequestEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/invalid-request";
            /** @enum {number} */
            status?: 400;
            /** @enum {string} */
            title?: "The request is malformed";
        };
        NotOfferedEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/not-offered";
            /** @enum {number} */
            status?: 501;
            /** @enum {string} */
            title?: "This host does not offer that";
        };
        RunSettledEncoded: {
            detail: string;
            instance?: string;
            /** @description a lowercase UUIDv7 */
            runId: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/run-settled";
            /** @enum {number} */
            status?: 409;
            /** @enum {string} */
            title?: "The run has ended";
        };
        RunInProgressEncoded: {
            detail: string;
            instance?: string;
            /** @description a lowercase UUIDv7 */
            runId: string;
            retryAfterSeconds: number;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/run-in-progress";
            /** @enum {number} */
            status?: 409;
            /** @enum {string} */
            title?: "A run of this agent is in progress";
        };
        RunNotFoundEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/run-not-found";
            /** @enum {number} */
            status?: 404;
            /** @enum {string} */
            title?: "No such run of this agent";
        };
        BodyAlreadyConsumedEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/body-already-consumed";
            /** @enum {number} */
            status?: 500;
            /** @enum {string} */
            title?: "The request body was consumed before the handler";
        };
        InvalidPayloadEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/invalid-payload";
            /** @enum {number} */
            status?: 422;
            /** @enum {string} */
            title?: "The payload does not fit its schema";
        };
        UnsupportedMediaTypeEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/unsupported-media-type";
            /** @enum {number} */
            status?: 415;
            /** @enum {string} */
            title?: "The request body is not JSON";
        };
        PayloadTooLargeEncoded: {
            detail: string;
            instance?: string;
            maxBytes: number;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/payload-too-large";
            /** @enum {number} */
            status?: 413;
            /** @enum {string} */
            title?: "The request body is too large";
        };
        RunNotResumableEncoded: {
            detail: string;
            instance?: string;
            /** @description a lowercase UUIDv7 */
            runId: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/run-not-resumable";
            /** @enum {number} */
            status?: 409;
            /** @enum {string} */
            title?: "An interrupted run blocks this agent";
        };
        AcceptedRun: {
            /** @description a lowercase UUIDv7 */
            runId: string;
            /** @description 1 to 128 letters, digits, '.', '_' or '-', starting with a letter or a digit */
            agentName: string;
            /** @enum {string} */
            status: "running";
            location: string;
        };
        ResumeRequest: {
            followUp?: string;
        };
        Checkpoint: {
            /** @description a lowercase UUIDv7 */
            runId: string;
            /** @enum {string} */
            kind: "heartbeat" | "agent";
            /** @description 1 to 128 letters, digits, '.', '_' or '-', starting with a letter or a digit */
            agentName: string;
            agentId?: string;
            callerId?: string;
            channelId?: string;
            guildId?: string;
            prompt?: string;
            modelTier?: string;
            /** @description a lowercase UUIDv7 */
            parentRunId?: string;
            definition: {
                name: string;
                hash: string;
            };
            payload?: unknown;
            /** @enum {string} */
            status: "running" | "interrupted" | "exhausted";
            startedAt: string;
            updatedAt: string;
            iteration: number;
            phase: string;
            completedPhases: string[];
            attempts: {
                number: number;
                owner: string;
                fence: number;
                startedAt: string;
                endedAt?: string;
                /** @enum {string} */
                end?: "settled" | "released" | "expired";
                reason?: string;
            }[];
            leaseUntil: string;
            cancelRequested: boolean;
            messages: number;
            messageBytes: number;
            hasWorkspace: boolean;
        };
        CheckpointPage: {
            items: components["schemas"]["InFlightRun"][];
            next?: string;
        };
        InFlightRun: {
            /** @description a lowercase UUIDv7 */
            runId: string;
            /** @enum {string} */
            kind: "heartbeat" | "agent";
            /** @description 1 to 128 letters, digits, '.', '_' or '-', starting with a letter or a digit */
            agentName: string;
            agentId?: string;
            callerId?: string;
            channelId?: string;
            guildId?: string;
            prompt?: string;
            modelTier?: string;
            /** @description a lowercase UUIDv7 */
            parentRunId?: string;
            definition: {
                name: string;
                hash: string;
            };
            payload?: unknown;
            /** @enum {string} */
            status: "running" | "interrupted" | "exhausted";
            startedAt: string;
            updatedAt: string;
            iteration: number;
            phase: string;
            completedPhases: string[];
            attempts: {
                number: number;
                owner: string;
                fence: number;
                startedAt: string;
                endedAt?: string;
                /** @enum {string} */
                end?: "settled" | "released" | "expired";
                reason?: string;
            }[];
            leaseUntil: string;
            cancelRequested: boolean;
        };
        SettledRun: {
            /** @description a lowercase UUIDv7 */
            runId: string;
            /** @enum {string} */
            kind: "heartbeat" | "agent";
            /** @description 1 to 128 letters, digits, '.', '_' or '-', starting with a letter or a digit */
            agentName: string;
            agentId?: string;
            callerId?: string;
            channelId?: string;
            guildId?: string;
            prompt?: string;
            modelTier?: string;
            /** @description a lowercase UUIDv7 */
            parentRunId?: string;
            definition: {
                name: string;
                hash: string;
            };
            payload?: unknown;
            /** @enum {string} */
            status: "ok" | "warning" | "error" | "cancelled";
            startedAt: string;
            finishedAt: string;
            summary: string;
            warnings: {
                /** @enum {string} */
                severity: "warning" | "error";
                step?: string;
                code: string;
                message: string;
                hint?: string;
                url?: string;
                at: string;
            }[];
            errors: {
                /** @enum {string} */
                severity: "warning" | "error";
                step?: string;
                code: string;
                message: string;
                hint?: string;
                url?: string;
                at: string;
            }[];
            touchedIssueUrls: string[];
            steps: {
                name: string;
                /** @enum {string} */
                status: "ok" | "warning" | "error" | "skipped";
                attempts: number;
                startedAt?: string;
                millis: number;
            }[];
            attempts: {
                number: number;
                owner: string;
                fence: number;
                startedAt: string;
                endedAt?: string;
                /** @enum {string} */
                end?: "settled" | "released" | "expired";
                reason?: string;
            }[];
            result?: unknown;
        };
        RunPage: {
            items: (components["schemas"]["SettledRun"] | components["schemas"]["InFlightRun"])[];
            next?: string;
        };
        RunNotRecordedEncoded: {
            detail: string;
            instance?: string;
            /** @description a lowercase UUIDv7 */
            runId: string;
            report: components["schemas"]["HeartbeatReport"];
            retryAfterSeconds: number;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/run-not-recorded";
            /** @enum {number} */
            status?: 503;
            /** @enum {string} */
            title?: "The pass ran but could not be recorded";
        };
        HeartbeatReport: {
            /** @enum {string} */
            status: "ok" | "warning" | "error";
            /** @description 1 to 128 letters, digits, '.', '_' or '-', starting with a letter or a digit */
            agentName: string;
            startedAt: string;
            finishedAt: string;
            summary: string;
            warnings: string[];
            errors: string[];
            touchedIssueUrls: string[];
            /** @description a lowercase UUIDv7 */
            runId: string;
        };
        RunInterruptedEncoded: {
            detail: string;
            instance?: string;
            /** @description a lowercase UUIDv7 */
            runId: string;
            retryAfterSeconds: number;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/run-interrupted";
            /** @enum {number} */
            status?: 503;
            /** @enum {string} */
            title?: "The run was interrupted";
        };
        PassFailedEncoded: {
            detail: string;
            instance?: string;
            /** @description a lowercase UUIDv7 */
            runId: string;
            report: components["schemas"]["HeartbeatReport"];
            /** @enum {string} */
            type: "https://everbeat.dev/problems/pass-failed";
            /** @enum {number} */
            status?: 500;
            /** @enum {string} */
            title?: "The pass ended with an error";
        };
        RateLimitedEncoded: {
            detail: string;
            instance?: string;
            retryAfterSeconds: number;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/rate-limited";
            /** @enum {number} */
            status?: 429;
            /** @enum {string} */
            title?: "Too many heartbeats of this agent";
        };
        IdempotencyKeyReusedEncoded: {
            detail: string;
            instance?: string;
            /** @description a lowercase UUIDv7 */
            runId: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/idempotency-key-reused";
            /** @enum {number} */
            status?: 422;
            /** @enum {string} */
            title?: "The idempotency key was used with another payload";
        };
        RunCancelledEncoded: {
            detail: string;
            instance?: string;
            /** @description a lowercase UUIDv7 */
            runId: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/run-cancelled";
            /** @enum {number} */
            status?: 409;
            /** @enum {string} */
            title?: "The run was cancelled";
        };
        AgentNotFoundEncoded: {
            detail: string;
            instance?: string;
            /** @enum {string} */
            type: "https://everbeat.dev/problems/agent-not-found";
            /** @enum {number} */
            status?: 404;
            /** @enum {string} */
            title?: "The agent has no heartbeat here";
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    "agents.heartbeat": {
        parameters: {
            query?: never;
            header?: {
                "idempotency-key"?: string;
                prefer?: string;
                "last-event-id"?: string;
            };
            path: {
                agentName: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": null | unknown;
            };
        };
        responses: {
            /** @description HeartbeatReport */
            200: {
                headers: {
                    "everbeat-status": "ok" | "warning" | "error";
                    "everbeat-run-id": string;
                    "idempotency-replayed"?: "true";
                    "preference-applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HeartbeatReport"];
                    "text/event-stream": string;
                };
            };
            /** @description AcceptedRun */
            202: {
                headers: {
                    location: string;
                    "everbeat-run-id": string;
                    "preference-applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AcceptedRun"];
                };
            };
            /** @description The run has ended, and the event of Last-Event-ID was its last one: do not connect again */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is malformed */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InvalidRequestEncoded"];
                };
            };
            /** @description Missing or invalid agent token */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnauthorizedEncoded"];
                };
            };
            /** @description This token may not act for that agent | This token may not do that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["WrongAgentEncoded"] | components["schemas"]["InsufficientScopeEncoded"];
                };
            };
            /** @description The agent has no heartbeat here | No such run of this agent */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["AgentNotFoundEncoded"] | components["schemas"]["RunNotFoundEncoded"];
                };
            };
            /** @description A run of this agent is in progress | The run was cancelled | An interrupted run blocks this agent */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["RunInProgressEncoded"] | components["schemas"]["RunCancelledEncoded"] | components["schemas"]["RunNotResumableEncoded"];
                };
            };
            /** @description The request body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["PayloadTooLargeEncoded"];
                };
            };
            /** @description The request body is not JSON */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnsupportedMediaTypeEncoded"];
                };
            };
            /** @description The idempotency key was used with another payload | The payload does not fit its schema */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["IdempotencyKeyReusedEncoded"] | components["schemas"]["InvalidPayloadEncoded"];
                };
            };
            /** @description Too many heartbeats of this agent */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["RateLimitedEncoded"];
                };
            };
            /** @description Internal error | The pass ended with an error | The request body was consumed before the handler */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InternalErrorEncoded"] | components["schemas"]["PassFailedEncoded"] | components["schemas"]["BodyAlreadyConsumedEncoded"];
                };
            };
            /** @description The store does not answer | The run was interrupted | The pass ran but could not be recorded | The service is shutting down | The service could not start | Tokens cannot be verified right now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["StoreUnavailableEncoded"] | components["schemas"]["RunInterruptedEncoded"] | components["schemas"]["RunNotRecordedEncoded"] | components["schemas"]["ShuttingDownEncoded"] | components["schemas"]["NotReadyEncoded"] | components["schemas"]["AuthUnavailableEncoded"];
                };
            };
        };
    };
    "agents.listRuns": {
        parameters: {
            query?: {
                limit?: number;
                cursor?: string;
                status?: ("ok" | "warning" | "error" | "cancelled" | "running" | "interrupted" | "exhausted")[];
                kind?: "heartbeat" | "agent";
                callerId?: string;
                from?: string;
                until?: string;
            };
            header?: never;
            path: {
                agentName: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description RunPage */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RunPage"];
                };
            };
            /** @description The request is malformed */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InvalidRequestEncoded"];
                };
            };
            /** @description Missing or invalid agent token */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnauthorizedEncoded"];
                };
            };
            /** @description This token may not act for that agent | This token may not do that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["WrongAgentEncoded"] | components["schemas"]["InsufficientScopeEncoded"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InternalErrorEncoded"];
                };
            };
            /** @description The store does not answer | The service is shutting down | The service could not start | Tokens cannot be verified right now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["StoreUnavailableEncoded"] | components["schemas"]["ShuttingDownEncoded"] | components["schemas"]["NotReadyEncoded"] | components["schemas"]["AuthUnavailableEncoded"];
                };
            };
        };
    };
    "agents.getRun": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                agentName: string;
                runId: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Success */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettledRun"] | components["schemas"]["InFlightRun"];
                    "text/event-stream": string;
                };
            };
            /** @description The run has ended, and the event of Last-Event-ID was its last one: do not connect again */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is malformed */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InvalidRequestEncoded"];
                };
            };
            /** @description Missing or invalid agent token */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnauthorizedEncoded"];
                };
            };
            /** @description This token may not act for that agent | This token may not do that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["WrongAgentEncoded"] | components["schemas"]["InsufficientScopeEncoded"];
                };
            };
            /** @description No such run of this agent */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["RunNotFoundEncoded"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InternalErrorEncoded"];
                };
            };
            /** @description The store does not answer | The service is shutting down | The service could not start | Tokens cannot be verified right now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["StoreUnavailableEncoded"] | components["schemas"]["ShuttingDownEncoded"] | components["schemas"]["NotReadyEncoded"] | components["schemas"]["AuthUnavailableEncoded"];
                };
            };
        };
    };
    "agents.cancelRun": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                agentName: string;
                runId: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description SettledRun */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettledRun"];
                };
            };
            /** @description InFlightRun */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["InFlightRun"];
                };
            };
            /** @description The request is malformed */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InvalidRequestEncoded"];
                };
            };
            /** @description Missing or invalid agent token */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnauthorizedEncoded"];
                };
            };
            /** @description This token may not act for that agent | This token may not do that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["WrongAgentEncoded"] | components["schemas"]["InsufficientScopeEncoded"];
                };
            };
            /** @description No such run of this agent */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["RunNotFoundEncoded"];
                };
            };
            /** @description The run has ended */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["RunSettledEncoded"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InternalErrorEncoded"];
                };
            };
            /** @description The store does not answer | The service is shutting down | The service could not start | Tokens cannot be verified right now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["StoreUnavailableEncoded"] | components["schemas"]["ShuttingDownEncoded"] | components["schemas"]["NotReadyEncoded"] | components["schemas"]["AuthUnavailableEncoded"];
                };
            };
        };
    };
    "checkpoints.listCheckpoints": {
        parameters: {
            query?: {
                limit?: number;
                cursor?: string;
                status?: ("running" | "interrupted" | "exhausted")[];
            };
            header?: never;
            path: {
                agentName: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description CheckpointPage */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CheckpointPage"];
                };
            };
            /** @description The request is malformed */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InvalidRequestEncoded"];
                };
            };
            /** @description Missing or invalid agent token */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnauthorizedEncoded"];
                };
            };
            /** @description This token may not act for that agent | This token may not do that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["WrongAgentEncoded"] | components["schemas"]["InsufficientScopeEncoded"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InternalErrorEncoded"];
                };
            };
            /** @description This host does not offer that */
            501: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["NotOfferedEncoded"];
                };
            };
            /** @description The store does not answer | The service is shutting down | The service could not start | Tokens cannot be verified right now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["StoreUnavailableEncoded"] | components["schemas"]["ShuttingDownEncoded"] | components["schemas"]["NotReadyEncoded"] | components["schemas"]["AuthUnavailableEncoded"];
                };
            };
        };
    };
    "checkpoints.getCheckpoint": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                agentName: string;
                runId: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Checkpoint */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Checkpoint"];
                };
            };
            /** @description The request is malformed */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InvalidRequestEncoded"];
                };
            };
            /** @description Missing or invalid agent token */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnauthorizedEncoded"];
                };
            };
            /** @description This token may not act for that agent | This token may not do that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["WrongAgentEncoded"] | components["schemas"]["InsufficientScopeEncoded"];
                };
            };
            /** @description No such run of this agent */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["RunNotFoundEncoded"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InternalErrorEncoded"];
                };
            };
            /** @description This host does not offer that */
            501: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["NotOfferedEncoded"];
                };
            };
            /** @description The store does not answer | The service is shutting down | The service could not start | Tokens cannot be verified right now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["StoreUnavailableEncoded"] | components["schemas"]["ShuttingDownEncoded"] | components["schemas"]["NotReadyEncoded"] | components["schemas"]["AuthUnavailableEncoded"];
                };
            };
        };
    };
    "checkpoints.discardCheckpoint": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                agentName: string;
                runId: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description <No Content> */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is malformed */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InvalidRequestEncoded"];
                };
            };
            /** @description Missing or invalid agent token */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnauthorizedEncoded"];
                };
            };
            /** @description This token may not act for that agent | This token may not do that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["WrongAgentEncoded"] | components["schemas"]["InsufficientScopeEncoded"];
                };
            };
            /** @description No such run of this agent */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["RunNotFoundEncoded"];
                };
            };
            /** @description A run of this agent is in progress | The run has ended */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["RunInProgressEncoded"] | components["schemas"]["RunSettledEncoded"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InternalErrorEncoded"];
                };
            };
            /** @description This host does not offer that */
            501: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["NotOfferedEncoded"];
                };
            };
            /** @description The store does not answer | The service is shutting down | The service could not start | Tokens cannot be verified right now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["StoreUnavailableEncoded"] | components["schemas"]["ShuttingDownEncoded"] | components["schemas"]["NotReadyEncoded"] | components["schemas"]["AuthUnavailableEncoded"];
                };
            };
        };
    };
    "checkpoints.resumeCheckpoint": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                agentName: string;
                runId: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": null | components["schemas"]["ResumeRequest"];
            };
        };
        responses: {
            /** @description AcceptedRun */
            202: {
                headers: {
                    location: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AcceptedRun"];
                };
            };
            /** @description The request is malformed */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InvalidRequestEncoded"];
                };
            };
            /** @description Missing or invalid agent token */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnauthorizedEncoded"];
                };
            };
            /** @description This token may not act for that agent | This token may not do that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["WrongAgentEncoded"] | components["schemas"]["InsufficientScopeEncoded"];
                };
            };
            /** @description No such run of this agent */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["RunNotFoundEncoded"];
                };
            };
            /** @description A run of this agent is in progress | An interrupted run blocks this agent | The run has ended */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["RunInProgressEncoded"] | components["schemas"]["RunNotResumableEncoded"] | components["schemas"]["RunSettledEncoded"];
                };
            };
            /** @description The request body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["PayloadTooLargeEncoded"];
                };
            };
            /** @description The request body is not JSON */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnsupportedMediaTypeEncoded"];
                };
            };
            /** @description The payload does not fit its schema */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InvalidPayloadEncoded"];
                };
            };
            /** @description The request body was consumed before the handler | Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["BodyAlreadyConsumedEncoded"] | components["schemas"]["InternalErrorEncoded"];
                };
            };
            /** @description This host does not offer that */
            501: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["NotOfferedEncoded"];
                };
            };
            /** @description The store does not answer | The service is shutting down | The service could not start | Tokens cannot be verified right now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["StoreUnavailableEncoded"] | components["schemas"]["ShuttingDownEncoded"] | components["schemas"]["NotReadyEncoded"] | components["schemas"]["AuthUnavailableEncoded"];
                };
            };
        };
    };
    "health.live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description HealthStatus */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/health+json": components["schemas"]["HealthStatus"];
                };
            };
        };
    };
    "health.ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description HealthStatus */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/health+json": components["schemas"]["HealthStatus"];
                };
            };
            /** @description Missing or invalid agent token */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["UnauthorizedEncoded"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["InternalErrorEncoded"];
                };
            };
            /** @description The store does not answer | The service is shutting down | The service could not start | Tokens cannot be verified right now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["StoreUnavailableEncoded"] | components["schemas"]["ShuttingDownEncoded"] | components["schemas"]["NotReadyEncoded"] | components["schemas"]["AuthUnavailableEncoded"];
                };
            };
        };
    };
}
