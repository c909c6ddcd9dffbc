// The formula page: puts the panels together. Each panel is a function of the session and listens to it.

import { h } from '../dom.js';
import { toJson } from '../numbers.js';
import { problemBox } from '../problems.js';
import { formulaBar } from './bar.js';
import { exportDialog } from './exports.js';
import { inspectorPanel } from './inspector.js';
import { modesPanel } from './modes.js';
import { plotPanel } from './plot.js';
import { makeSession } from './session.js';
import { stagePanel } from './stage.js';
import { variablesPanel } from './variables.js';

export function formulaPage({ client, history, announce, notify, theme }) {
  const element = h('div', { class: 'page formula-page' });
  let session = null, stage = null, exports = null;
  const load = (text, inputs) => client.post('/api/formula', { text, values: Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, toJson(x)])) });
  async function start() {
    const examples = await client.get('/api/formula/examples');
    session = makeSession({ load, history, examples, notify });
    stage = stagePanel(session, { announce, notify });
    exports = client.served && exportDialog(session, { client, notify, theme });
    element.replaceChildren(
      ...(exports ? [exports] : []),
      formulaBar(session, { fixed: client.fixed }),
      stage.element,
      h('div', { class: 'side' }, variablesPanel(session), inspectorPanel(session)),
      h('div', { class: 'lower' }, plotPanel(session), modesPanel(session)),
    );
  }
  let started = null;
  return {
    title: 'Formula',
    element,
    async restore(state) {
      started ??= start();
      try {
        await started;
      } catch (problem) {
        if (problem instanceof Error) throw problem;
        started = null; // the next time it may be answered
        element.replaceChildren(problemBox(problem));
        return;
      }
      await session.restore(state);
    },
    leave() {
      stage?.pause();
      session?.settle();
    },
    twin: () => session?.trace && `/api/formula?${new URLSearchParams({ text: session.text, at: session.state().at })}`,
    help: [
      ['Space', 'play, pause'],
      ['← →', 'one step back, one step forward'],
      ['Home End', 'first step, last step'],
      ['↑ ↓', 'previous node, next node'],
      ['Alt+← → ↑ ↓', 'along an edge, to its neighbours'],
      ['b, Shift+click', 'playing stops at this node, or no longer'],
      ['m', 'reverse mode or forward mode'],
      ['d', 'descend once along the slope'],
      ['/', 'to the formula'],
    ],
    save: () => exports?.showModal(),
    get keys() {
      return stage?.keys ?? {};
    },
  };
}
