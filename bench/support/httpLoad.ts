/** A client of HTTP/1.1 that costs little: it sends the same bytes and looks for the end of the answer only. */
import { connect, type Socket } from "node:net"

/** One connection that is kept open. */
export interface Connection {
  /** Sends the request and resolves with the body of the answer, which must be a 200. */
  readonly call: (request: string) => Promise<string>
  readonly close: () => void
}

const open = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true }, () => resolve(socket))
    socket.once("error", reject)
  })

export const openConnection = async (port: number): Promise<Connection> => {
  const socket = await open(port)
  let waiting: { readonly resolve: (body: string) => void; readonly reject: (error: Error) => void } | undefined
  let text = ""
  const settle = (): void => {
    const head = text.indexOf("\r\n\r\n")
    if (head === -1) return
    const [, length] = /\r\ncontent-length: (\d+)\r\n/iu.exec(text.slice(0, head + 2)) ?? []
    const end = head + 4 + Number(length)
    if (Number.isNaN(end)) return waiting?.reject(new Error(`no length: ${text}`))
    if (text.length < end) return
    const answer = text
    text = ""
    const { reject, resolve } = waiting ?? {}
    waiting = undefined
    if (answer.startsWith("HTTP/1.1 200 ")) resolve?.(answer.slice(head + 4))
    else reject?.(new Error(answer))
  }
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk
    settle()
  }).on("close", () => waiting?.reject(new Error("the server closed the connection")))
  return {
    call: (request) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        socket.write(request)
      }),
    close: () => void socket.destroy()
  }
}
