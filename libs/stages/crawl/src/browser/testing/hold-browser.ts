// Opens a browser, says its process id, and holds it until this process is killed.
import { openTestSession } from './browsers.ts';

const [origin = ''] = process.argv.slice(2);
const { site, userDataDir } = await openTestSession({ origin });
console.log(JSON.stringify({ processId: site.processId, userDataDir }));
setInterval(() => undefined, 60_000);
