// What has happened up to an event: a pure function of trace, numbers, mode and step, so that stepping back, scrubbing,
// links and exports show the same.

// valued: ids of nodes that have a value; gradients: Map of node id -> gradient or tangent so far; flowed: Set of edge
// ids; partial: Map of node id -> how many contributions have arrived; added: contributions by edge; before: what a node
// had before this event; event: the current one.
export function snapshotAt(trace, numbers, mode, step) {
  const events = eventsOf(trace, mode);
  const last = Math.min(step, events.length - 1);
  const found = {
    events,
    event: events[last],
    valued: new Set(trace.nodes.filter(node => node.kind === 'variable' || node.kind === 'constant').map(node => node.id)),
    gradients: new Map(),
    flowed: new Set(),
    partial: new Map(),
    added: numbers.contributions,
    before: 0,
    sweep: null,
  };
  for (let i = 0; i <= last; i += 1) {
    const event = events[i];
    if (event.t === 'value') found.valued.add(event.node);
    else if (event.t === 'seed') found.gradients.set(event.node, 1);
    else if (event.t === 'flow') flow(trace, numbers, found, event);
    else if (event.t === 'tseed') startSweep(trace, numbers, found, event);
    else if (event.t === 'tangent') {
      found.gradients.set(event.node, found.sweep.tangents[event.node]);
      for (const edge of edgesInto(trace, event.node)) found.flowed.add(edge.id);
    }
  }
  // Sums in another order could differ in the last digit: where all has arrived, the gradient itself is shown.
  if (mode === 'reverse') for (const node of found.gradients.keys()) if (found.partial.get(node) === edgesOutOf(trace, node).length) found.gradients.set(node, numbers.gradients[node]);
  return found;
}

export const eventsOf = (trace, mode) => trace.events[mode] ?? trace.events.reverse;

function flow(trace, numbers, found, event) {
  const arrived = found.partial.get(event.node) ?? 0;
  found.before = arrived ? found.gradients.get(event.node) : 0;
  found.gradients.set(event.node, found.before + numbers.contributions[event.edge]);
  found.partial.set(event.node, arrived + 1);
  found.flowed.add(event.edge);
}

function startSweep(trace, numbers, found, event) {
  found.sweep = numbers.tangents(event.node);
  found.added = found.sweep.added;
  found.flowed.clear();
  found.gradients.clear();
  for (const node of trace.nodes) if (node.kind === 'variable') found.gradients.set(node.id, node.id === event.node ? 1 : 0);
}

const INDEX = new WeakMap();
function indexOf(trace) {
  if (!INDEX.has(trace)) {
    const into = trace.nodes.map(() => []), outOf = trace.nodes.map(() => []);
    for (const edge of trace.edges) {
      into[edge.to].push(edge);
      outOf[edge.from].push(edge);
    }
    INDEX.set(trace, { into, outOf });
  }
  return INDEX.get(trace);
}
export const edgesInto = (trace, node) => indexOf(trace).into[node];
export const edgesOutOf = (trace, node) => indexOf(trace).outOf[node];
