/**
 * @since 0.1.0
 */
export * as PostgresMigrations from "./PostgresMigrations.ts"
export * as PostgresStore from "./PostgresStore.ts"
