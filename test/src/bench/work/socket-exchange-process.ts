// The other end of a SocketPair.
import { connect } from 'node:net';
import { exchange } from './socket-exchange.ts';

const socket = connect(Number(process.argv[2]), '127.0.0.1').setNoDelay(true);
socket.on('error', () => process.exit(1));
process.on('message', (bytes: number) => void exchange(socket, bytes));
process.on('disconnect', () => process.exit(0));
