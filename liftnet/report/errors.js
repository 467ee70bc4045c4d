// Errors and refused requests are written on the page's root element, where tests and people find them.
(function () {
  const root = document.documentElement;
  root.dataset.errors = "0";
  function note(message) {
    root.dataset.errors = String(Number(root.dataset.errors) + 1);
    root.dataset.lastError = String(message).slice(0, 300);
  }
  window.addEventListener("error", (event) => note(event.message || "a resource failed to load"), true);
  window.addEventListener("unhandledrejection", (event) => note(event.reason));
  document.addEventListener("securitypolicyviolation", (event) => note("refused: " + event.blockedURI));
})();
