'use strict'
// A client of an echo over WebSocket: client.js h1|h2 URL ADDRESS:PORT; prints what it met as one line of JSON.
// h2 is RFC 8441: an extended CONNECT of Node's own HTTP/2, with the frames of ws on its stream.
const { createHash, randomBytes } = require('crypto')
const http2 = require('http2')
const tls = require('tls')
const WebSocket = require('ws')

const [version, url, at] = process.argv.slice(2)
const port = Number(at.split(':')[1])
const told = {}
const SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]
const OFFERED = ['other.test', 'echo.test']

function connect (protocol) {
  return tls.connect({
    host: '127.0.0.1', port, servername: new URL(url).hostname, rejectUnauthorized: false, ALPNProtocols: [protocol]
  })
}

function overHttp1 () {
  const socket = new WebSocket(url, OFFERED, {
    perMessageDeflate: true, createConnection: () => connect('http/1.1'), handshakeTimeout: 20000
  })
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('open', () => {
      told.protocol = socket.protocol
      told.extensions = socket.extensions
      resolve(socket)
    })
  })
}

function overHttp2 () {
  const { host, pathname } = new URL(url)
  const session = http2.connect('https://' + host, { createConnection: () => connect('h2') })
  return new Promise((resolve, reject) => {
    session.once('error', reject)
    session.once('remoteSettings', (settings) => {
      told.extended = settings.enableConnectProtocol
      const stream = session.request({
        ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':authority': host, ':path': pathname,
        'sec-websocket-version': '13', 'sec-websocket-protocol': OFFERED.join(', ')
      }, { endStream: false })
      stream.once('error', reject)
      stream.once('response', (fields) => {
        if (fields[':status'] !== 200) return reject(new Error('status ' + fields[':status']))
        told.protocol = fields['sec-websocket-protocol']
        told.accept = fields['sec-websocket-accept']
        const socket = new WebSocket(null, undefined, {})
        socket._isServer = false // what comes is not masked, what goes is
        stream.removeListener('error', reject)
        socket.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 1 << 24, skipUTF8Validation: false })
        socket.once('close', () => session.destroy())
        resolve(socket)
      })
    })
  })
}

const open = version === 'h2' ? overHttp2 : overHttp1
const next = (socket) => new Promise((resolve, reject) => {
  const lost = (code) => reject(new Error('closed with ' + code))
  socket.once('close', lost)
  socket.once('message', (data, binary) => {
    socket.removeListener('close', lost)
    resolve({ data, binary })
  })
})

async function echo (socket, data, binary, pieces) {
  const back = next(socket)
  if (pieces === 1) socket.send(data, { binary })
  else {
    const step = Math.ceil(data.length / pieces)
    for (let i = 0; i < pieces; i++) socket.send(data.subarray(i * step, (i + 1) * step), { binary, fin: i === pieces - 1 })
  }
  const got = await back
  return got.binary === binary && got.data.equals(data)
}

async function end (last) {
  const socket = await open()
  socket.on('error', () => {})
  const over = new Promise((resolve) => socket.once('close', resolve))
  if (last === '') socket.close(4001, 'enough')
  else socket.send(last)
  return over
}

async function main () {
  const socket = await open()
  told.same = 0
  for (const size of SIZES) {
    const data = randomBytes(size)
    told.same += await echo(socket, data, true, 1)
    told.same += await echo(socket, Buffer.from(data.toString('hex')), false, 1)
  }
  told.fragments = 0
  for (const pieces of [2, 3, 50]) told.fragments += await echo(socket, randomBytes(100000), true, pieces)
  const pong = new Promise((resolve) => socket.once('pong', (text) => resolve(text.toString())))
  socket.ping('are you there')
  told.pongs = (await pong) === 'are you there' ? 1 : 0
  const [sent, received] = [createHash('sha256'), createHash('sha256')]
  told.many = 0
  const all = new Promise((resolve) => socket.on('message', (data) => {
    received.update(data)
    if (++told.many === 2000) resolve()
  }))
  for (let i = 0; i < 2000; i++) {
    const data = Buffer.from('message ' + i)
    sent.update(data)
    socket.send(data)
  }
  await all
  if (sent.digest('hex') !== received.digest('hex')) told.many = -1
  socket.removeAllListeners('message')
  const over = new Promise((resolve) => socket.once('close', resolve))
  socket.close()
  await over
  told.ends = [await end(''), await end('close'), await end('abort')]
  console.log(JSON.stringify(told))
  process.exit(0)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
