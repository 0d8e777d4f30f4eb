// Names beside points: each where it covers no other name and no point

const isName = (annotation) => annotation.name === "label";
const NEAR = 9; // pixels from a point to its name
const SHIFTS = [0, -12, 12, -22, 22, 34, -34, 46, -46, 60, -60, 80, -80];
const ruler = document.createElement("canvas").getContext("2d");

async function placeNames(plot) {
  const all = drawn.get(plot)?.layout.annotations ?? [];
  if (!all.some(isName)) return;
  const { xaxis, yaxis } = plot._fullLayout;
  ruler.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const at = all.map((name) => ({ x: xaxis.l2p(name.x), y: yaxis.l2p(name.y) }));
  const taken = at.map(({ x, y }) => ({ left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 }));
  taken.push(...stepBoxes(plot));
  const annotations = all.map((name, i) => {
    const width = ruler.measureText(decoded(name.text)).width + 6;
    const place = freePlace(at[i], width, taken, xaxis._length, yaxis._length);
    if (!place) return { ...name, visible: false }; // hovering tells it
    taken.push(place.box);
    const line = { showarrow: true, arrowhead: 0, arrowwidth: 0.7, arrowcolor: colourOf("--soft"), standoff: 5 };
    return { ...name, visible: true, ...line, ax: place.dx, ay: place.dy, xanchor: place.anchor, yanchor: "middle" };
  });
  await Plotly.relayout(plot, { annotations });
}

// The level runs of a curve in steps, a front say.
function stepBoxes(plot) {
  const { xaxis, yaxis } = plot._fullLayout;
  const fronts = plot.data.filter((trace) => trace.line?.shape === "hv");
  return fronts.flatMap(({ x, y }) =>
    x.slice(1).map((end, i) => {
      const [left, right, level] = [xaxis.d2p(x[i]), xaxis.d2p(end), yaxis.d2p(y[i])];
      return { left, right, top: level - 2, bottom: level + 2 };
    }),
  );
}

function freePlace({ x, y }, width, taken, right, bottom) {
  if (x < 0 || x > right || y < 0 || y > bottom) return null;
  for (const dy of SHIFTS)
    for (const [dx, anchor] of [[NEAR, "left"], [-NEAR, "right"]]) {
      const left = anchor === "left" ? x + dx : x + dx - width;
      const box = { left, right: left + width, top: y + dy - 10, bottom: y + dy + 10 };
      const inside = box.left >= 0 && box.right <= right && box.top >= 0 && box.bottom <= bottom;
      if (inside && !taken.some((other) => overlap(box, other))) return { box, dx, dy, anchor };
    }
  return null;
}

function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
