// The page of models without Python: plays back the answers that were recorded when its file was written.

import { unpackedAnswers } from '../recorded.js';

const ASKED = {
  graph: ({ root, open }) => [root, open.split(',').filter(Boolean).sort().join()],
  at: ({ at }) => [at],
  why: ({ at, by }) => [at, by],
};
const NOT_HELD = {
  graph: ({ root }) => `this view of ${root || 'all blocks'}`,
  at: ({ at }) => `the numbers of ${at}`,
  why: ({ at, by }) => `${by === 'why' ? 'why the gradient is as it is' : `the shares by ${by}`} at ${at}`,
};

// Exact beginnings of a name first, as the server has them.
function searched(names, text, most = 40) {
  const wanted = text.trim().toLowerCase();
  const rank = ([path]) => (path.toLowerCase().split('.').some(part => part.startsWith(wanted)) ? 0 : 1);
  const found = names.filter(([path, kind]) => `${path}\n${kind}`.toLowerCase().includes(wanted));
  found.sort((a, b) => rank(a) - rank(b) || a[0].length - b[0].length || (a[0] < b[0] ? -1 : 1));
  return { matches: found.slice(0, most).map(([id, kind, type]) => ({ id, kind, type })), count: found.length };
}

// What answers instead of a server; `recorded` says what the file holds, and how to have the rest.
export function recordedModelClient({ trace, recording }) {
  let answers = null;
  const refuse = what => Promise.reject({ type: 'OfflineError', message: `this file does not hold ${what}`, fix: `run: ${recording.command}` });
  const known = { '/api/models': { models: [trace], runs: [], examples: [] } };
  for (const [end, answer] of [['', trace], ['/status', trace], ['/findings', trace.doctor_says], ['/curves', trace.curves]]) known[`/api/models/${trace.id}${end}`] = answer;
  async function get(path, query) {
    if (path in known) return known[path];
    const kind = path.slice(path.lastIndexOf('/') + 1);
    if (kind === 'search') return searched(recording.names, query.text);
    answers ??= unpackedAnswers(recording.packed);
    const found = (await answers).get(JSON.stringify([kind, ...ASKED[kind](query)]));
    return found ? JSON.parse(found) : refuse(NOT_HELD[kind](query));
  }
  return { recorded: recording.said, get, post: () => refuse('other models') };
}
