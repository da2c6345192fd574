export { setUp as default } from "../../../test/loops/postgres.ts"
