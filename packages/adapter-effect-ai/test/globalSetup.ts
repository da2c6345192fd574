export { setUp as default } from "../../../test/loops/servers.ts"
