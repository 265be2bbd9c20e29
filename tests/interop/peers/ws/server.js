'use strict'
// An echo over WebSocket: repeats messages, ends when it is asked to.
const { WebSocketServer } = require('ws')

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has('echo.test') ? 'echo.test' : false)
}, () => console.log('listening', server.address().port))

server.on('connection', (socket) => {
  socket.on('error', () => {})
  socket.on('message', (data, binary) => {
    if (!binary && data.toString() === 'close') socket.close(4002, 'as asked')
    else if (!binary && data.toString() === 'abort') socket.terminate()
    else socket.send(data, { binary })
  })
})
