// Uploads a file by tus-js-client as it is published: node tus.mjs MODULES JSON
import { createRequire } from 'node:module'
import { createReadStream, statSync } from 'node:fs'

const [modules, text] = process.argv.slice(2)
const { Upload } = createRequire(modules + '/')('tus-js-client')
const asked = JSON.parse(text)
let failures = 0
const upload = new Upload(createReadStream(asked.path), {
  endpoint: asked.endpoint,
  uploadSize: asked.parallel ? undefined : statSync(asked.path).size,
  headers: { Authorization: asked.authorization },
  metadata: { filename: asked.filename, filetype: 'audio/wav' },
  retryDelays: asked.retryDelays ?? [100, 500, 1000, 2000],
  chunkSize: asked.chunkSize ?? Infinity,
  parallelUploads: asked.parallel ?? 1,
  onShouldRetry: (error) => {
    failures += 1
    const status = error.originalResponse ? error.originalResponse.getStatus() : 0
    return status < 400 || status === 409 || status === 423 || status >= 500
  },
  onError: (error) => { console.log(JSON.stringify({ error: String(error), failures })); process.exit(1) },
  onSuccess: () => console.log(JSON.stringify({ url: upload.url, failures })),
})
upload.start()
