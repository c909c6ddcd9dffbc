// What went wrong, where the page has nothing else to show or is not what was asked for.

import { h } from './dom.js';

// `problem` is {message, fix, instead}, as questions are refused; `more` stands below it.
export const problemBox = (problem, more = null) => h('div', { class: 'error', role: 'alert' }, h('span', {}, problem.message), problem.fix && h('span', {}, `What helps: ${problem.fix}.`), problem.instead && h('span', {}, problem.instead), more);
