// Both passes over the graph of a trace with numbers that change: values, local derivatives, gradients, tangents.

import { fromJson } from '../numbers.js';
import { makeProgram } from './program.js';

// An upstream gradient of exactly 0 stays 0 whatever it meets; where the node chose another input, nothing passes.
export const passedOn = (upstream, local, selects) => ((upstream === 0 || (selects && local === 0)) ? 0 : upstream * local);

// Arrays by node id (values, gradients) and by edge id (locals, contributions). `set` computes all of them anew.
export function makeNumbers(trace) {
  const { nodes, edges } = trace;
  const run = makeProgram(trace.program);
  const backward = [...edges].sort((a, b) => b.to - a.to || a.id - b.id);
  const registers = edges.map(edge => trace.program.locals[edge.to][edge.slot]);
  const self = {
    values: Float64Array.from(nodes, node => fromJson(node.value)),
    gradients: Float64Array.from(nodes, node => (node.gradient === null ? NaN : fromJson(node.gradient))),
    locals: Float64Array.from(edges, edge => fromJson(edge.local)),
    contributions: Float64Array.from(edges, edge => fromJson(edge.contribution)),
    // What the result would be, and its slope along one variable, elsewhere: for plots; nothing shown changes.
    at(inputs, variable) {
      const memory = run(inputs);
      const value = memory[trace.program.values[trace.result]];
      if (variable === undefined) return { value };
      const locals = registers.map(register => memory[register]);
      return { value, slope: sweepBack(locals).gradients[variable] };
    },
    set(inputs) {
      const memory = run(inputs);
      for (let i = 0; i < nodes.length; i += 1) self.values[i] = memory[trace.program.values[i]];
      for (let e = 0; e < edges.length; e += 1) self.locals[e] = memory[registers[e]];
      const found = sweepBack(self.locals);
      for (let i = 0; i < nodes.length; i += 1) self.gradients[i] = nodes[i].gradient === null ? NaN : found.gradients[i];
      self.contributions.set(found.contributions);
    },
    // A forward sweep: the derivative of every node with respect to one variable, and what each edge adds.
    tangents(variable) {
      const tangents = new Float64Array(nodes.length), added = new Float64Array(edges.length);
      tangents[variable] = 1;
      for (const edge of edges) {
        added[edge.id] = passedOn(tangents[edge.from], self.locals[edge.id], edge.selects);
        tangents[edge.to] += added[edge.id];
      }
      return { tangents, added };
    },
  };
  function sweepBack(locals) {
    const gradients = new Float64Array(nodes.length), contributions = new Float64Array(edges.length);
    gradients[trace.result] = 1;
    for (const edge of backward) {
      const part = passedOn(gradients[edge.to], locals[edge.id], edge.selects);
      contributions[edge.id] = part;
      gradients[edge.from] += part;
    }
    return { gradients, contributions };
  }
  return self;
}
