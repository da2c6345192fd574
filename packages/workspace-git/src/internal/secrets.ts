import { toText } from "./bytes.ts"

const secret = [
  /^\.env(?:\..+)?$/i,
  /\.env$/i,
  /^\.envrc$/i,
  /^kubeconfig$/i,
  /\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|tfstate|tfvars)$/i,
  /^id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?$/i,
  /^\.(?:netrc|npmrc|pypirc|pgpass|htpasswd|git-credentials|vault-token)$/i,
  /^_netrc$/i,
  /^credentials(?:\.(?:json|ya?ml|toml|ini|csv))?$/i,
  /^secrets?\.(?:json|ya?ml|toml|ini|env)$/i,
  /^service[-_]account.*\.json$/i
]

const harmless = /\.(?:example|sample|template|dist|defaults?)$/i

const inFolder = /(?:^|\/)\.(?:ssh|gnupg|aws|kube|docker)\//

/** Whether a new file is left out for its name. */
export const isSecret = (
  more: ReadonlyArray<RegExp>,
  allowed: ReadonlyArray<RegExp>
): (path: string) => boolean =>
(path) => {
  const text = toText(path) ?? path
  const name = text.slice(text.lastIndexOf("/") + 1)
  if (allowed.some((pattern) => text.search(pattern) >= 0)) return false
  if (more.some((pattern) => text.search(pattern) >= 0)) return true
  return !harmless.test(name) && (inFolder.test(text) || secret.some((pattern) => pattern.test(name)))
}
