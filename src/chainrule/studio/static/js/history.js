// The state of a page in the address, behind #: a link reproduces the view, and undo steps back through it.

const MOST_STEPS = 200;

export function readHash(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  return { page: path, state: Object.fromEntries(new URLSearchParams(query)) };
}

// Shows the address now and whenever a person changes it. What the page still had to write of the view before may
// already stand in `location`: where the person wants to go, only the event says.
export function followAddress(show) {
  window.addEventListener('hashchange', event => show(new URL(event.newURL).hash));
  show(location.hash);
}

const written = (page, state) => `#/${page}?${new URLSearchParams(Object.entries(state).filter(([, value]) => value !== '' && value != null))}`;

// One history over all pages: where each step was made is part of it. `address` is null where there is no address
// bar of ours, as in a notebook; there `told` hears of each state instead.
export function makeHistory(show, { address = location, told = () => {} } = {}) {
  let steps = [], at = -1, page = '', settling = 0;
  const lasts = {};
  const write = hash => {
    lasts[readHash(hash).page] = hash;
    if (address && address.hash !== hash) window.history.replaceState(null, '', hash);
    told(readHash(hash).state);
  };
  const changed = () => self.onChange?.();
  const self = {
    onChange: null,
    hasAddress: Boolean(address),
    get canUndo() {
      return at > 0;
    },
    get canRedo() {
      return at < steps.length - 1;
    },
    get here() {
      return steps[at] ?? '#/';
    },
    open(name, state) {
      page = name;
      self.commit(state);
    },
    // Where a page was left.
    lastOf: name => lasts[name] ?? `#/${name}`,
    // Until `done`, what is committed is the step that is shown, put in full, and no other one.
    settle(done) {
      settling += 1;
      Promise.resolve(done).finally(() => (settling -= 1));
    },
    // What is shown now, as a step that undo comes back to.
    commit(state) {
      const hash = written(page, state);
      write(hash);
      if (settling && at >= 0 && steps[at] !== hash && readHash(steps[at]).page === page) steps[at] = hash;
      if (steps[at] === hash) {
        changed();
        return;
      }
      steps = [...steps.slice(Math.max(0, at + 2 - MOST_STEPS), at + 1), hash];
      at = steps.length - 1;
      changed();
    },
    // The same without a step, while something is dragged.
    replace(state) {
      write(written(page, state));
      changed();
    },
    move(by) {
      if (!steps[at + by]) return;
      at += by;
      write(steps[at]);
      const found = readHash(steps[at]);
      page = found.page;
      show(found);
      changed();
    },
    // For one page: what it tells while another is shown, since an answer came late, is not what is shown.
    of: name => ({
      commit: state => page === name && self.commit(state),
      replace: state => page === name && self.replace(state),
      onChange: () => self.onChange?.(),
    }),
    undo: () => self.move(-1),
    redo: () => self.move(1),
  };
  return self;
}
