// What the console does beyond links and forms: copy a key, ask in a dialog, send once. Everything works without it.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  const secret = document.getElementById(button.dataset.copy);
  const said = document.getElementById("copied");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(secret.textContent);
      said.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(secret); // the reader copies it by hand
      said.textContent = "Your browser does not let us copy. It is selected: press Ctrl+C.";
    }
  });
}

// A second click would send the form again, and the answer with the secret would be lost to it.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("[type=submit]")) button.disabled = true;
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return; // the way back leads to a page as it was left
  for (const button of document.querySelectorAll("[type=submit]")) button.disabled = false;
});

const dialog = document.getElementById("dialog");
if (dialog) {
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === dialog) dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });
}

for (const menu of document.querySelectorAll("details.menu")) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}
