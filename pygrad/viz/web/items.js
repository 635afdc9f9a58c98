// Drawing one item: an oval with its op, and a card with its numbers; or, at small scales, a box ------------------------

const OP_FONT = "13px ui-monospace, monospace", NUMBER_FONT = "12px ui-monospace, monospace";
const WORD_FONT = "12px system-ui, sans-serif", LABEL_FONT = "600 13px system-ui, sans-serif", NAME_FONT = "30px system-ui, sans-serif";

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
  text(data === "" ? "?" : short(data), right, above, "right", NUMBER_FONT);
  if (!isComplete(item)) ctx.fillStyle = item.got ? colours.now : colours.muted;
  text(short(grad), right, below, "right", NUMBER_FONT);
  ctx.fillStyle = byGrad ? ink : colours.muted;
  text("data", left, above, "left", WORD_FONT);
  text("grad", left, below, "left", WORD_FONT);
}

/** What the step of a backward pass adds, below each operand: "× local derivative = share". */
function drawShares(node) {
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

/** Draw text. If it is wider than the room, which is not needed for a number, an ellipsis replaces its end, or the beginning of a name with dots. */
function text(words, x, y, align, font, room = Infinity) {
  ctx.font = font;
  ctx.textAlign = align;
  ctx.textBaseline = "middle";
  ctx.fillText(room < 11 * words.length && ctx.measureText(words).width > room ? shortened(words, room) : words, x, y);
}

function shortened(words, room) {
  const cut = /^\w+\..*\w/.test(words) ? length => `…${words.slice(words.length - length)}` : length => `${words.slice(0, length)}…`;
  let length = Math.min(words.length, 30);
  while (length && ctx.measureText(cut(length)).width > room) length--;
  return cut(length);
}
