// Drawing: world coordinates times view.scale plus (view.x, view.y) are pixels of the canvas --------------------------
//
// Edges and text take long to draw. So the graph is drawn to a backdrop, a bitmap larger than the canvas; while the view
// moves, the bitmap moves with it, and of what a step changes only the items are drawn again.

const NUMBERS = 0.55, NAMES = 0.2;      // the scales above which numbers, and names, are readable
const canvas = document.querySelector("canvas"), screen = canvas.getContext("2d", {alpha: false});
const view = {x: 0, y: 0, scale: 1};
const backdrop = {canvas: document.createElement("canvas"), view: {x: 0, y: 0, scale: 1}, stale: true};
const BORDER = 0.3;                     // of the backdrop on each side, as a part of the canvas
const SHARPEN_AFTER = 120;              // ms after the last zoom
const COLOURS = [
  "paper", "card", "leaf", "ink", "muted", "line", "op", "function", "python", "white", "chosen", "feeding", "fed", "hit", "now",
];
const colours = {};                     // the colours of the style sheet
let ramp = [];                          // those of the sizes of gradients
let ctx = screen;                       // where the functions below draw
let fitted = true, drawing = 0, sharpening = 0;
let byGrad = false;                     // whether items are coloured by the size of their gradient
let chosen = null;                      // the selected item
let feeding = new Set(), fed = new Set();  // its ancestors and its descendants
let hits = [], hit = -1;                // the items found by the search, and the one visited last

backdrop.ctx = backdrop.canvas.getContext("2d", {alpha: false});

/** Draw again what has changed. */
function redraw() {
  backdrop.stale = true;
  move();
}

/** Draw the same from another point of view. */
function move() {
  drawing ||= requestAnimationFrame(() => { drawing = 0; draw(); });
}

/** Draw the backdrop at the present scale once zooming has ended. */
function sharpen() {
  clearTimeout(sharpening);
  sharpening = setTimeout(() => { sharpening = 0; redraw(); }, SHARPEN_AFTER);
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of COLOURS) colours[name] = style.getPropertyValue(`--${name}`);
  const [cold, hot] = ["cold", "hot"].map(name => channels(style.getPropertyValue(`--${name}`)));
  ramp = Array.from({length: 65}, (_, k) => `rgb(${cold.map((from, c) => Math.round(from + (hot[c] - from) * k / 64))})`);
  redraw();
}

/** The red, green and blue of a colour such as #e9ecf2. */
function channels(colour) {
  return [1, 3, 5].map(at => parseInt(colour.trim().slice(at, at + 2), 16));
}

function draw() {
  if (backdrop.stale || !isCovered()) drawBackdrop();
  const {x, y, scale} = view, by = scale / backdrop.view.scale;
  const {width, height} = backdrop.canvas;
  on(screen, {x: 0, y: 0, scale: 1});
  if (by !== 1) erase(canvas);          // the backdrop may be smaller than the canvas
  ctx.drawImage(backdrop.canvas, x - backdrop.view.x * by, y - backdrop.view.y * by, width * by / devicePixelRatio, height * by / devicePixelRatio);
  on(screen, view);
  drawStep(area(canvas, view));
}

/** Let the functions below draw to a bitmap from this point of view. */
function on(bitmap, {x, y, scale}) {
  const ratio = devicePixelRatio;
  ctx = bitmap;
  ctx.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
}

function erase({width, height}) {
  ctx.fillStyle = colours.paper;
  ctx.fillRect(0, 0, width, height);
}

/** The part of the world that a bitmap shows. */
function area({width, height}, {x, y, scale}) {
  const pixel = 1 / scale / devicePixelRatio;
  return {left: -x / scale, top: -y / scale, right: -x / scale + width * pixel, bottom: -y / scale + height * pixel};
}

/** Whether the backdrop can be shown as it is, or enlarged until zooming ends. */
function isCovered() {
  if (view.scale !== backdrop.view.scale) return sharpening || glide;
  const seen = area(canvas, view), drawn = area(backdrop.canvas, backdrop.view);
  return seen.left >= drawn.left && seen.top >= drawn.top && seen.right <= drawn.right && seen.bottom <= drawn.bottom;
}

function drawBackdrop() {
  const {canvas: bitmap} = backdrop, dx = Math.round(canvas.clientWidth * BORDER), dy = Math.round(canvas.clientHeight * BORDER);
  bitmap.width = canvas.width + 2 * dx * devicePixelRatio;
  bitmap.height = canvas.height + 2 * dy * devicePixelRatio;
  backdrop.view = {x: view.x + dx, y: view.y + dy, scale: view.scale};
  backdrop.stale = false;
  on(backdrop.ctx, {x: 0, y: 0, scale: 1});
  erase(bitmap);
  on(backdrop.ctx, backdrop.view);
  drawGraph(area(bitmap, backdrop.view));
}

/** Draw items again to the backdrop, after a step has changed their numbers. */
function repaint(some) {
  if (backdrop.stale) return;
  const seen = area(backdrop.canvas, backdrop.view), found = new Set(hits);
  on(backdrop.ctx, backdrop.view);
  for (const item of some) if (isIn(item, seen)) drawItem(item, light(item), found.has(item));
  move();
}

function drawGraph(seen) {
  ctx.globalAlpha = chosen ? 0.25 : Math.min(0.8, 30 / Math.sqrt(items.length)); // fainter if there are many items
  drawEdges(items, item => item.outputs, seen, colours.line, 1.2);
  ctx.globalAlpha = 1;
  if (chosen) {
    const above = new Set([...feeding, chosen]), below = new Set([...fed, chosen]);
    drawEdges(feeding, item => item.outputs.filter(use => above.has(use)), seen, colours.feeding, 2);
    drawEdges(below, item => item.outputs.filter(use => below.has(use)), seen, colours.fed, 2);
  }
  const found = new Set(hits);
  for (const item of items) if (isIn(item, seen)) drawItem(item, light(item), found.has(item));
  ctx.globalAlpha = 1;
}

/** Draw the current step over the graph. */
function drawStep(seen) {
  const step = currentStep();
  if (!step) return;
  const at = itemOf.get(step.node), from = new Set(step.node.operands.map(operand => itemOf.get(operand)));
  from.delete(at);
  if (step.pass !== "seed") drawEdges(from, () => [at], seen, colours.now, 3);
  drawItem(at, "now", false);
  ctx.globalAlpha = 1;
  if (step.pass === "backward" && view.scale >= NUMBERS) drawShares(step.node);
}

function isIn(item, seen) {
  return item.x <= seen.right && item.x + WIDTH >= seen.left && item.y - ROW <= seen.bottom && item.y + ROW >= seen.top;
}

function light(item) {
  return item === chosen ? "chosen" : feeding.has(item) ? "feeding" : fed.has(item) ? "fed" : null;
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
