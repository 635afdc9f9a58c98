// Drawing: world coordinates times view.scale plus (view.x, view.y) are pixels of the canvas --------------------------

const NUMBERS = 0.55, NAMES = 0.2;      // the scales above which numbers, and names, are readable
const OP_FONT = "13px ui-monospace, monospace", NUMBER_FONT = "12px ui-monospace, monospace";
const WORD_FONT = "12px system-ui, sans-serif", LABEL_FONT = "600 13px system-ui, sans-serif", NAME_FONT = "30px system-ui, sans-serif";
const canvas = document.querySelector("canvas"), ctx = canvas.getContext("2d");
const view = {x: 0, y: 0, scale: 1};
const COLOURS = [
  "paper", "card", "leaf", "ink", "muted", "line", "op", "function", "python", "white", "chosen", "feeding", "fed", "hit", "now",
];
const colours = {};                     // the colours of the style sheet
let ramp = [];                          // those of the sizes of gradients
let fitted = true, drawing = 0;
let byGrad = false;                     // whether items are coloured by the size of their gradient
let chosen = null;                      // the selected item
let feeding = new Set(), fed = new Set();  // its ancestors and its descendants
let hits = [], hit = -1;                // the items found by the search, and the one visited last

function redraw() {
  drawing ||= requestAnimationFrame(() => { drawing = 0; draw(); });
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of COLOURS) colours[name] = style.getPropertyValue(`--${name}`);
  const [cold, hot] = ["cold", "hot"].map(name => parts(style.getPropertyValue(`--${name}`)));
  ramp = Array.from({length: 65}, (_, k) => `rgb(${cold.map((from, c) => Math.round(from + (hot[c] - from) * k / 64))})`);
  redraw();
}

/** The red, green and blue of a colour such as #e9ecf2. */
function parts(colour) {
  return [1, 3, 5].map(at => parseInt(colour.trim().slice(at, at + 2), 16));
}

function draw() {
  const ratio = devicePixelRatio, {x, y, scale} = view;
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, canvas.width, canvas.height);
  ctx.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
  const seen = {left: -x / scale, top: -y / scale};
  seen.right = seen.left + canvas.clientWidth / scale;
  seen.bottom = seen.top + canvas.clientHeight / scale;
  const step = currentStep();

  ctx.globalAlpha = chosen ? 0.25 : Math.min(0.8, 30 / Math.sqrt(items.length)); // fainter if there are many items
  drawEdges(items, item => item.outputs, seen, colours.line, 1.2);
  ctx.globalAlpha = 1;
  if (chosen) {
    const above = new Set([...feeding, chosen]), below = new Set([...fed, chosen]);
    drawEdges(feeding, item => item.outputs.filter(use => above.has(use)), seen, colours.feeding, 2);
    drawEdges(below, item => item.outputs.filter(use => below.has(use)), seen, colours.fed, 2);
  }
  if (step) {
    const at = itemOf.get(step.node), from = new Set(step.node.operands.map(operand => itemOf.get(operand)));
    from.delete(at);
    drawEdges(step.pass === "seed" ? [] : from, () => [at], seen, colours.now, 3);
  }
  const found = new Set(hits);
  for (const item of items) {
    if (item.x > seen.right || item.x + WIDTH < seen.left || item.y - ROW > seen.bottom || item.y + ROW < seen.top) continue;
    drawItem(item, light(item, step), found.has(item));
  }
  ctx.globalAlpha = 1;
  if (step && scale >= NUMBERS) drawShares(step);
}

function light(item, step) {
  if (step && itemOf.get(step.node) === item) return "now";
  return item === chosen ? "chosen" : feeding.has(item) ? "feeding" : fed.has(item) ? "fed" : null;
}

function ovalWidth(item) {
  if (item.ovalWidth) return item.ovalWidth;
  ctx.font = OP_FONT;
  return item.ovalWidth = Math.min(Math.max(ctx.measureText(opText(item)).width + 12, 26), CARD - GAP);
}

function opText(item) {
  return item.op || "f";
}

/** Whether something computes an item, which is drawn as an oval before its card. */
function hasOp(item) {
  return !item.members && item.operands.length > 0;
}

/** The left end of an item, where its incoming edges end. */
function entry(item) {
  if (view.scale < NUMBERS) return item.x + CARD / 2; // at small scales the op has no oval
  return item.x + CARD - (hasOp(item) ? ovalWidth(item) + GAP : 0);
}

function drawEdges(sources, usesOf, seen, colour, width) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = Math.max(width, 0.8 / view.scale);
  for (const item of sources) {
    const uses = usesOf(item);
    if (uses.length && isSeen(item, uses, seen)) drawEdge(item, uses);
  }
}

function isSeen(item, uses, seen) {
  let right = item.x, top = item.height, bottom = item.height;
  for (const {x, height} of uses) {
    right = Math.max(right, x);
    top = Math.min(top, height);
    bottom = Math.max(bottom, height);
  }
  for (const height of item.lane) {
    top = Math.min(top, height);
    bottom = Math.max(bottom, height);
  }
  return item.x <= seen.right && right >= seen.left && top * ROW <= seen.bottom && bottom * ROW >= seen.top;
}

/** All uses share one line, which passes the columns in between in the item's lanes; each use branches off. */
function drawEdge(item, uses) {
  const passed = item.lane.length ? Math.max(...uses.map(use => use.column)) - item.column - 1 : 0;
  const ends = [[item.x + WIDTH, item.y]];
  ctx.beginPath();
  ctx.moveTo(...ends[0]);
  for (let k = 0; k < passed; k++) {
    const left = (item.column + 1 + k) * COLUMN, y = item.lane[k] * ROW;
    curve(...ends[k], left, y);
    ctx.lineTo(left + WIDTH, y);
    ends.push([left + WIDTH, y]);
  }
  for (const use of uses) {
    const end = ends[item.lane.length ? use.column - item.column - 1 : 0];
    ctx.moveTo(...end);
    curve(...end, entry(use), use.y);
  }
  ctx.stroke();
}

function curve(x0, y0, x1, y1) {
  const bend = Math.min((x1 - x0) / 2, COLUMN);
  ctx.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
}

function drawItem(item, lit, found) {
  const x = entry(item), y = item.y - HEIGHT / 2, width = item.x + WIDTH - x;
  ctx.globalAlpha = chosen && !lit && !found ? 0.3 : 1;
  if (found) {
    const halo = Math.max(5, 2 / view.scale), left = view.scale < NUMBERS ? x : item.x + CARD;
    box(left - halo, y - halo, item.x + WIDTH - left + 2 * halo, HEIGHT + 2 * halo, 8 + halo, colours.hit);
  }
  (view.scale < NUMBERS ? drawName : drawNumbers)(item, x, y, width, lit && colours[lit]);
}

/** At small scales: a coloured box of at least two pixels, with a name if it is readable. */
function drawName(item, x, y, width, lit) {
  const least = 2 / view.scale, size = byGrad ? gradSize(item) : 0;
  ctx.fillStyle = lit || (byGrad ? ramp[Math.round(size * 64)] : kindColour(item));
  if (view.scale < NAMES) return ctx.fillRect(x, y, Math.max(width, least), Math.max(HEIGHT, least));
  box(x, y, width, HEIGHT, 10, ctx.fillStyle);
  ctx.fillStyle = lit ? colours.paper : byGrad ? inkOn(size) : hasOp(item) ? colours.white : colours.ink;
  text(item.label || item.op || brief(item.data), x + width / 2, item.y, "center", NAME_FONT, width - 12);
}

function drawNumbers(item, x, y, width, lit) {
  const size = byGrad ? gradSize(item) : 0;
  const fill = byGrad ? ramp[Math.round(size * 64)] : hasOp(item) || item.members ? colours.card : colours.leaf;
  if (item.members) box(item.x + CARD + 4, y - 4, WIDTH - CARD, HEIGHT, 8, fill, colours.line, 1); // a pile of cards
  box(item.x + CARD, y, WIDTH - CARD, HEIGHT, 8, fill, lit || colours.line, lit ? 2.5 : 1);
  if (hasOp(item)) drawOp(item, x, lit);
  ctx.fillStyle = byGrad ? inkOn(size) : colours.ink;
  (item.members ? drawModule : drawCard)(item, item.x + CARD + 10, item.x + WIDTH - 10);
}

function drawOp(item, x, lit) {
  const oval = ovalWidth(item);
  ctx.fillStyle = lit || colours.line;
  ctx.fillRect(x + oval, item.y - 0.75, GAP, 1.5);
  if (item.python) ctx.setLineDash([3, 2]);
  box(x, item.y - 13, oval, 26, 13, lit || kindColour(item), item.python && colours.ink, 1.5);
  ctx.setLineDash([]);
  ctx.fillStyle = lit ? colours.paper : colours.white;
  text(opText(item), x + oval / 2, item.y, "center", OP_FONT, oval - 6);
}

function drawModule(item, left, right) {
  text(item.module, left, item.y - 10, "left", LABEL_FONT, right - left);
  const only = item.results.length === 1 ? `→ ${short(numbersOf(item.results[0]).data)}` : `${item.members.length} nodes`;
  text(only, left, item.y + 10, "left", NUMBER_FONT, right - left);
}

function drawCard(item, left, right) {
  const [above, below] = item.label ? [item.y + 1, item.y + 17] : [item.y - 9, item.y + 9];
  const {data, grad} = numbersOf(item), ink = ctx.fillStyle;
  if (item.label) text(item.label, left, item.y - 17, "left", LABEL_FONT, right - left);
  text(data === "" ? "?" : short(data), right, above, "right", NUMBER_FONT, right - left - 28);
  if (!isComplete(item)) ctx.fillStyle = item.got ? colours.now : colours.muted;
  text(short(grad), right, below, "right", NUMBER_FONT, right - left - 28);
  ctx.fillStyle = byGrad ? ink : colours.muted;
  text("data", left, above, "left", WORD_FONT, 28);
  text("grad", left, below, "left", WORD_FONT, 28);
}

/** What the step of a backward pass adds, below each operand: "× local derivative = share". */
function drawShares({pass, node}) {
  if (pass !== "backward") return;
  const below = new Map();
  node.operands.forEach((operand, which) => {
    const item = itemOf.get(operand), row = below.get(item) ?? 0;
    if (item === itemOf.get(node)) return;
    below.set(item, row + 1);
    drawTag(`× ${short(node.slopes[which] ?? "?")} = ${short(node.products[which])}`, item.x + WIDTH, item.y + HEIGHT / 2 + 10 + 22 * row);
  });
}

function drawTag(words, right, y) {
  ctx.font = NUMBER_FONT;
  const width = ctx.measureText(words).width + 16;
  box(right - width, y - 10, width, 20, 10, colours.now);
  ctx.fillStyle = colours.paper;
  text(words, right - width / 2, y, "center", NUMBER_FONT, width);
}

function kindColour(item) {
  if (!hasOp(item)) return item.members ? colours.card : colours.leaf;
  return item.python ? colours.python : isFunction(item.op) ? colours.function : colours.op;
}

function inkOn(size) {
  return size > 0.55 ? colours.white : colours.ink;
}

function box(x, y, width, height, radius, fill, stroke, lineWidth) {
  ctx.beginPath();
  ctx.roundRect(x, y, width, height, radius);
  ctx.fillStyle = fill;
  ctx.fill();
  if (stroke) {
    ctx.strokeStyle = stroke;
    ctx.lineWidth = lineWidth;
    ctx.stroke();
  }
}

/** Draw text. If it is wider than the room, an ellipsis replaces its end, or the beginning of a name with dots. */
function text(words, x, y, align, font, room) {
  ctx.font = font;
  ctx.textAlign = align;
  ctx.textBaseline = "middle";
  ctx.fillText(ctx.measureText(words).width > room ? shortened(words, room) : words, x, y);
}

function shortened(words, room) {
  const cut = /^\w+\..*\w/.test(words) ? length => `…${words.slice(words.length - length)}` : length => `${words.slice(0, length)}…`;
  let length = Math.min(words.length, 30);
  while (length && ctx.measureText(cut(length)).width > room) length--;
  return cut(length);
}
