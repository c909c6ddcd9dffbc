// Keys of the stage. Those that are not here (theme, help, undo) belong to the frame.

import { edgesInto, edgesOutOf } from './snapshot.js';

export function stageKeys(session, player, { focus }) {
  // In the order of computation; constants cannot be selected.
  const move = by => {
    const list = session.trace.nodes.filter(node => node.kind !== 'constant').map(node => node.id);
    const at = list.indexOf(session.selected);
    choose(list[(at + by + list.length) % list.length]);
  };
  const choose = id => {
    if (id === undefined) return;
    player.pause();
    session.select(id);
    focus(id);
  };
  // Along an edge: the strongest one, so that repeating it follows the strongest path.
  const strength = edge => Math.abs(session.numbers.contributions[edge.id]) || 0;
  const strongest = edges => edges.reduce((best, edge) => (best === null || strength(edge) > strength(best) ? edge : best), null);
  // Beside: other inputs of the same node.
  const beside = by => {
    const user = strongest(edgesOutOf(session.trace, session.selected));
    if (!user) return;
    const inputs = [...new Set(edgesInto(session.trace, user.to).map(edge => edge.from))];
    choose(inputs[(inputs.indexOf(session.selected) + by + inputs.length) % inputs.length]);
  };
  return {
    ' ': player.toggle,
    ArrowRight: player.next,
    ArrowLeft: () => player.to(session.step - 1),
    Home: () => player.to(0),
    End: () => player.to(Infinity),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    'Alt+ArrowLeft': () => choose(strongest(edgesInto(session.trace, session.selected))?.from),
    'Alt+ArrowRight': () => choose(strongest(edgesOutOf(session.trace, session.selected))?.to),
    'Alt+ArrowDown': () => beside(1),
    'Alt+ArrowUp': () => beside(-1),
    m() {
      player.pause();
      if (session.trace.events.forward) session.change({ mode: session.mode === 'forward' ? 'reverse' : 'forward' });
    },
    b: () => session.toggleBreakpoint(session.selected),
    d: () => session.descend?.(),
    '/': () => session.focusFormula?.(),
  };
}
