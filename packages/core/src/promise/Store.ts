/**
 * Stores and workspaces as values that an application hands over.
 *
 * @since 0.1.0
 */
import type * as Layer from "effect/Layer"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { RunStore } from "../RunStore.ts"
import type { Workspace as CoreWorkspace } from "../Workspace.ts"
import * as internal from "./internal/brand.ts"

/**
 * Where runs and checkpoints are kept: what `memoryStore()`, `postgresStore()`
 * and `redisStore()` return. It connects when it is used first.
 *
 * @category models
 * @since 0.1.0
 */
export interface Store {
  readonly [internal.StoreTypeId]: internal.Branded<CheckpointStore | RunStore>
}

/**
 * Where the files of agents are kept: what `gitWorkspace()` returns.
 *
 * @category models
 * @since 0.1.0
 */
export interface Workspace {
  readonly [internal.WorkspaceTypeId]: internal.Branded<CoreWorkspace>
}

/**
 * Creates a store from a layer that provides both store services, for authors of
 * stores.
 *
 * **Details**
 *
 * What the layer acquires is released when the instance is disposed. Give one
 * value to several instances only when the layer allows it to be built twice.
 *
 * @category constructors
 * @since 0.1.0
 */
export const storeFromLayer = <E>(layer: Layer.Layer<CheckpointStore | RunStore, E>): Store => ({
  [internal.StoreTypeId]: internal.brand(layer)
})

/**
 * Creates a workspace from a layer, for authors of workspaces.
 *
 * @category constructors
 * @since 0.1.0
 */
export const workspaceFromLayer = <E>(layer: Layer.Layer<CoreWorkspace, E>): Workspace => ({
  [internal.WorkspaceTypeId]: internal.brand(layer)
})
