// Searching -----------------------------------------------------------------------------------------------------------

const form = document.getElementById("find"), input = form.querySelector("input"), count = form.querySelector("output");

/** The query is part of a label, an op, a number, or `#` and the place of a node. */
function matches(node, query) {
  if (/^#\d+$/.test(query)) return node.index === Number(query.slice(1));
  return node.label.toLowerCase().includes(query) || isOp(node.op.toLowerCase(), query) ||
    isNumber(node.data, query) || isNumber(numbersOf(node).grad, query);
}

/** `*` does not find `**3`; `**` finds `**3`, and `re` finds `ReLU`. */
function isOp(op, query) {
  return op === query || (query.length > 1 && op.startsWith(query));
}

/** `2` finds 2.0, and `0.67` finds 0.6666. */
function isNumber(number, query) {
  if (!/\d|inf|nan/.test(query) || number === 0) return false;
  const x = Number(number), digits = query.split(".")[1]?.length ?? 0;
  if (!Number.isFinite(x)) return python(number) === query;
  return x === Number(query) || (digits > 0 && (x.toFixed(Math.min(digits, 100)) === query || String(x).startsWith(query)));
}

/** The items that show what was found, from left to right. */
function search(query) {
  input.value = query;
  query = query.trim().toLowerCase();
  const found = query ? nodes.filter(node => matches(node, query)).map(node => itemOf.get(node)) : [];
  hits = [...new Set(found)].sort((a, b) => a.x - b.x || a.y - b.y);
  hit = -1;
  count.textContent = !query ? "" : hits.length ? `${hits.length} found` : "none";
  redraw();
}

function visit(step) {
  if (!hits.length) return;
  hit = hit < 0 && step < 0 ? hits.length - 1 : (hit + step + hits.length) % hits.length;
  count.textContent = `${hit + 1} of ${hits.length}`;
  choose(hits[hit]);
  centre(hits[hit]);
}

input.addEventListener("input", () => search(input.value));
input.addEventListener("keydown", event => {
  if (event.key === "Enter") visit(event.shiftKey ? -1 : 1);
});
form.addEventListener("submit", event => event.preventDefault());
