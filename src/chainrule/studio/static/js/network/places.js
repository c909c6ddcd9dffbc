// Where layers, units and roads are: rules that figures follow too (exporting/network_figure.py); a test compares them.

const DIAGRAM_SIZES = { card: [66, 42, 2, 17], small: [52, 30, 2, 15], tiny: [30, 22, 0, 15] };

// For layers of these sizes in a width of `room`; a unit of length is `unitPx` pixels.
export function diagramPlaces(sizes, room, unitPx) {
  const columns = sizes.length;
  const most = Math.max(...sizes);
  const perColumn = room / columns / unitPx;
  const level = most > 10 || perColumn < 56 ? 'tiny' : most > 6 || perColumn < 82 ? 'small' : 'card';
  const [wide, picture, rows, line] = DIAGRAM_SIZES[level];
  const w = wide * unitPx, pictureHeight = picture * unitPx;
  const high = pictureHeight + rows * line * unitPx;
  const gap = (level === 'tiny' ? 5 : 8) * unitPx;
  const top = 40 * unitPx;
  const height = Math.max(top + most * (high + gap) + 8, (level === 'tiny' ? 250 : 330) * unitPx);
  const margin = w / 2 + 12;
  const width = Math.max(room, margin * 2 + (columns - 1) * (w + 26));
  const x = l => (columns === 1 ? width / 2 : margin + (l / (columns - 1)) * (width - 2 * margin));
  const y = (l, k) => top + ((height - top) * (k + 0.5)) / sizes[l];
  return { level, width, height, w, pictureHeight, x, y, roads: diagramRoads(sizes, x, y, w, high, unitPx) };
}

function diagramRoads(sizes, x, y, w, high, unitPx) {
  const roads = [];
  for (let l = 1; l < sizes.length; l++)
    for (let j = 0; j < sizes[l]; j++)
      for (let i = 0; i < sizes[l - 1]; i++) {
        const spread = Math.min(6 * unitPx, (high * 0.5) / sizes[l]) * (j - (sizes[l] - 1) / 2);
        const into = Math.min(9 * unitPx, (high * 0.7) / sizes[l - 1]) * (i - (sizes[l - 1] - 1) / 2);
        roads.push({ layer: l, from: i, to: j, x0: x(l - 1) + w / 2, x1: x(l) - w / 2, y0: y(l - 1, i) + spread, y1: y(l, j) + into });
      }
  return roads;
}
