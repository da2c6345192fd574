export { DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT } from "../../../api/[...everbeat]/route.js"
