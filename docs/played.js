// The page to play with follows the theme of the page around it.
document.addEventListener("DOMContentLoaded", () => {
  const frames = document.querySelectorAll("iframe.played");
  const tell = () => frames.forEach(frame => frame.contentWindow.postMessage({theme: document.body.dataset.theme}, "*"));
  new MutationObserver(tell).observe(document.body, {attributeFilter: ["data-theme"]});
  frames.forEach(frame => frame.addEventListener("load", tell));
  tell();
});
