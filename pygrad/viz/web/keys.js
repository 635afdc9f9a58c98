// How the graph looks, and the keyboard -------------------------------------------------------------------------------

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";                     // the system's, unless the page around this one sends a message with another

function dress() {
  document.documentElement.classList.toggle("dark", theme === "auto" ? systemIsDark.matches : theme === "dark");
  readColours();
}

const gradsButton = document.getElementById("grads"), foldSelect = document.getElementById("fold");

function colourByGrad() {
  byGrad = !byGrad;
  gradsButton.setAttribute("aria-pressed", byGrad);
  showPanel();
  redraw();
}

function foldTo(which) {
  foldSelect.selectedIndex = within(which, 0, foldings.length - 1);
  unfold(foldings[foldSelect.selectedIndex]);
  chosen = null;
  choose(null);
  search(input.value);
  fit();
}

/** Show the nodes of a module, as if they were what was searched for. */
function reveal(module) {
  foldTo(0);
  hits = module.members;
  follow(module.members);
}

/** What a folding shows, by the name of its modules: `neurons` if they are such as `layers.0.neurons.1`. */
function foldName(folding) {
  const modules = folding.filter(({item}) => item.members).map(({item}) => item.module);
  const kinds = new Set(modules.map(module => module.split(".").filter(part => !/^\d+$/.test(part)).pop()));
  return kinds.size === 1 ? [...kinds][0] : plural(modules.length, "module");
}

gradsButton.onclick = colourByGrad;
foldSelect.append(...foldings.map((folding, k) => element("option", {}, k ? `fold ${foldName(folding)}` : "all nodes")));
foldSelect.hidden = foldings.length === 1;
foldSelect.onchange = () => foldTo(foldSelect.selectedIndex);

/** The next item in the same column. */
function neighbour(item, step) {
  const column = items.filter(other => other.column === item.column).sort((a, b) => a.height - b.height);
  return column[column.indexOf(item) + step];
}

const KEYS = {
  ArrowLeft: () => walk(item => item.inputs[0]),
  ArrowRight: () => walk(item => item.outputs[0]),
  ArrowUp: () => walk(item => neighbour(item, -1)),
  ArrowDown: () => walk(item => neighbour(item, 1)),
  "+": () => zoom(1.4),
  "=": () => zoom(1.4),
  "-": () => zoom(1 / 1.4),
  "0": fit,
  f: fit,
  g: colourByGrad,
  "/": () => input.select(),
  " ": () => toPlay.click(),
  ".": () => step(1),
  ",": () => step(-1),
  ">": () => changeSpeed(1),
  "<": () => changeSpeed(-1),
  Home: () => jump(0),
  End: () => jump(steps.length),
  "]": () => foldTo(foldSelect.selectedIndex + 1),
  "[": () => foldTo(foldSelect.selectedIndex - 1),
};

function walk(next) {
  const item = chosen ? next(chosen) : itemOf.get(currentStep()?.node ?? last(roots));
  if (!item) return;
  pause();
  choose(item);
  centre(item);
}

function clear() {
  pause();
  search("");
  choose(null);
  go(null);
  canvas.focus();
}

document.addEventListener("keydown", event => {
  const typing = event.target === input || (event.target === speed || event.target === foldSelect);
  if (event.key === "Escape") {
    clear();
  } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

// Start-up ------------------------------------------------------------------------------------------------------------

new ResizeObserver(() => {
  canvas.width = canvas.clientWidth * devicePixelRatio;
  canvas.height = canvas.clientHeight * devicePixelRatio;
  if (fitted) Object.assign(view, wholeGraph());
  draw();
}).observe(canvas);
systemIsDark.addEventListener("change", dress);
addEventListener("message", ({data}) => {
  if (["auto", "light", "dark"].includes(data?.theme)) {
    theme = data.theme;
    dress();
  }
});
document.title = title ? `${title}: a pygrad graph` : "A pygrad graph";
dress();
unfold(foldings[0]);
go(null);
