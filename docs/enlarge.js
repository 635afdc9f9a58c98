// A click on a picture opens it in its full size.
document.addEventListener("DOMContentLoaded", () => {
  for (const image of document.querySelectorAll("article img")) {
    if (image.closest("a")) continue;
    const link = document.createElement("a");
    link.href = image.src;
    link.title = "Enlarge";
    image.replaceWith(link);
    link.append(image);
  }
});
