// What the doctor has found: a card for each cause, with what changed when only this was changed.

import { grouped, h } from '../dom.js';
import { percent } from '../numbers.js';

export const doctorDoing = says => `${says.doing || 'waiting'} …`;

// Fills `host` from what /findings answers; `onWhere(finding)` is called to go there.
export function doctorCard(host, says, { onWhere, onStop, selected }) {
  const kids = [h('div', { class: 'row spread' }, h('h2', {}, 'Doctor'), h('span', { class: 'small' }, says.findings.length > 1 ? 'most certain first' : ''))];
  if (says.state === 'working' || says.state === 'waiting')
    kids.push(h('div', { class: 'doctor-works' }, h('span', { class: 'small', role: 'status' }, doctorDoing(says)), h('span', { class: 'busy', 'aria-hidden': 'true' }), h('button', { class: 'btn', type: 'button', onclick: onStop }, 'Stop')));
  else if (says.error) kids.push(problemBox(says.error));
  else if (says.state === 'stopped') kids.push(h('p', { class: 'small' }, 'The examination was stopped.'));
  else if (says.state === 'done' && !says.findings.length) kids.push(h('p', { class: 'healthy' }, 'Nothing wrong was found', says.losses.length > 1 ? ` in ${grouped(says.losses.length)} backward passes` : '', '.'));
  if (says.raised) kids.push(h('p', { class: 'small' }, `The program was ended by ${says.raised}`));
  kids.push(...says.findings.map(finding => findingCard(finding, onWhere, selected === finding.number)));
  host.replaceChildren(...kids);
}

function findingCard(finding, onWhere, isSelected) {
  return h(
    'article',
    { class: `finding${isSelected ? ' current' : ''}`, 'data-finding': finding.number, tabindex: -1, 'aria-label': `Finding ${finding.number}: ${finding.title}` },
    h('span', { class: 'pin static', 'aria-hidden': 'true' }, h('span', {}, String(finding.number))),
    h(
      'div',
      {},
      h('h3', {}, finding.title[0].toUpperCase() + finding.title.slice(1), h('span', { class: 'sure' }, `${percent(finding.confidence)} sure`)),
      finding.groups.length ? h('button', { class: 'where', type: 'button', onclick: () => onWhere(finding) }, finding.where) : h('span', { class: 'where plain' }, finding.where),
      h('p', {}, finding.cause),
      finding.source && h('p', { class: 'line' }, `${finding.source.file.split(/[\\/]/).at(-1)}:${finding.source.line}  `, h('code', {}, finding.source.text)),
      finding.evidence.length > 0 && h('ul', { class: 'evidence' }, finding.evidence.map(line => h('li', {}, line))),
      finding.proof && proofTable(finding),
      h('p', { class: 'fix' }, h('b', {}, 'Remedy '), finding.remedy),
    ),
  );
}

function proofTable({ change, then, proof }) {
  if (!change) return h('dl', { class: 'proof' }, h('dt', {}, 'changed alone'), h('dd', {}, proof));
  return h('dl', { class: 'proof' }, h('dt', {}, 'change only this'), h('dd', {}, change), h('dt', {}, 'what becomes of it'), h('dd', {}, then));
}

export function problemBox(error) {
  return h('div', { class: 'error', role: 'alert' }, h('span', {}, h('b', {}, error.type), ` ${error.message}`), error.fix && h('span', {}, `Fix: ${error.fix}`));
}
