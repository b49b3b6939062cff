// PostgreSQL with pgvector in this process, in memory, on a port of 127.0.0.1 that the system chooses: prints "up PORT", and ends when its standard input does.
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';

const db = await PGlite.create({ extensions: { vector } });
const server = new PGLiteSocketServer({ db, host: '127.0.0.1', port: 0, maxConnections: 16 });
server.addEventListener('listening', (event) => console.log(`up ${event.detail.port}`));
await server.start();
process.stdin.resume();
process.stdin.on('end', async () => {
  await server.stop();
  await db.close();
  process.exit(0);
});
