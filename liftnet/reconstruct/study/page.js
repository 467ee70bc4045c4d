(function () {
  const STUDY = JSON.parse(document.getElementById("study").textContent);
  const TRIALS = Object.fromEntries(STUDY.trials.map((trial) => [trial.name, trial]));
  const NAMES = STUDY.trials.map((trial) => trial.name);
  const KEY = "study-" + STUDY.id;
  const part = (id) => document.getElementById(id);
  const choices = [part("choice-1"), part("choice-2")];
  let record = stored();  // what is saved; null before consent
  let shown = null;  // the question on the page
  let openAt = Infinity;  // when it was seen

  function stored() {
    try {
      const found = JSON.parse(localStorage.getItem(KEY));
      return found && found.study === STUDY.id && Array.isArray(found.answers) ? found : null;
    } catch (error) {
      return null;
    }
  }

  function keep() {
    try {
      localStorage.setItem(KEY, JSON.stringify(record));
    } catch (error) {
      part("unkept").hidden = false;
    }
  }

  function view(name) {
    for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== name;
    document.body.dataset.view = name;
    part("foot").hidden = name === "welcome";
    part("stop").hidden = name !== "question";
  }

  function begin() {
    record = {
      version: 1, study: STUDY.id, participant: crypto.getRandomValues(new Uint32Array(1))[0],
      practised: false, returns: 0, answers: [],
    };
    keep();
    next();
  }

  function next() {
    if (!record) return view("welcome");
    if (!record.practised) return show({ trial: null, left: "b", views_swapped: false }, STUDY.practice);
    const order = showings(NAMES, record.participant, STUDY.seed);
    const answered = record.answers.length;
    if (answered >= order.length) return finish();
    show(order[answered], TRIALS[order[answered].trial]);
  }

  function show(showing, pictures) {
    shown = showing;
    openAt = Infinity;
    document.body.classList.add("locked");
    const practice = showing.trial === null, answered = record.answers.length;
    view("question");
    part("which").textContent = practice ? "Practice" : "Question " + (answered + 1) + " of " + NAMES.length;
    part("hint").textContent = practice ? "One to try. It does not count." : "";
    part("progress").max = NAMES.length;
    part("progress").value = practice ? 0 : answered;
    part("picture").src = pictures.picture;
    const sides = showing.left === "a" ? ["a", "b"] : ["b", "a"];
    sides.forEach(function (letter, side) {
      const views = showing.views_swapped ? [1, 0] : [0, 1];
      choices[side].dataset.letter = letter;
      choices[side].querySelectorAll("img").forEach((image, place) => { image.src = pictures[letter][views[place]]; });
    });
    part("ask").focus({ preventScroll: true });
    const images = Array.from(part("question").querySelectorAll("img"));
    Promise.all(images.map((image) => image.decode().catch(() => undefined))).then(function () {
      requestAnimationFrame(function () {
        if (shown !== showing) return;
        openAt = performance.now();
        setTimeout(function () { if (shown === showing) document.body.classList.remove("locked"); }, STUDY.locked_ms);
      });
    });
  }

  function choose(side) {
    const ms = performance.now() - openAt;
    if (!shown || !(ms >= STUDY.locked_ms)) return;
    const chosen = choices[side].dataset.letter;
    if (shown.trial === null) {
      if (chosen !== "a") {
        part("hint").textContent = "Look again: the other one looks more like the object in the picture.";
        return;
      }
      record.practised = true;
    } else {
      record.answers.push({
        trial: shown.trial, chosen: chosen, left: shown.left, views_swapped: shown.views_swapped, ms: Math.round(ms),
      });
    }
    keep();
    next();
  }

  function answers() {
    const { version, study, participant, returns, answers } = record;
    return JSON.stringify({ version, study, participant, returns, answers });
  }

  function finish() {
    shown = null;
    const left = NAMES.length - record.answers.length;
    part("thanks").textContent = left ? "Your answers so far" : "Thank you";
    part("left").textContent = left ? left + " questions are left. You can go on now or later on this device." : "That was the last question.";
    part("go-on").hidden = !left;
    part("text").value = answers();
    part("number").textContent = record.participant;
    part("said").textContent = "";
    view("finish");
    part("thanks").focus({ preventScroll: true });
  }

  function save() {
    const address = URL.createObjectURL(new Blob([answers()], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = STUDY.id + "-" + record.participant + ".json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    part("said").textContent = "Saved as " + link.download + ". Please send this file to the people who asked you.";
  }

  async function copy() {
    const text = part("text");
    try {
      await navigator.clipboard.writeText(text.value);
    } catch (error) {
      text.focus();
      text.select();
      if (!document.execCommand("copy")) {
        part("said").textContent = "Your browser does not let the page copy. The text is marked: copy it yourself.";
        return;
      }
    }
    part("said").textContent = "Copied. Please paste it into your message.";
  }

  function remove() {
    part("sure").showModal();
  }

  function removed() {
    try {
      localStorage.removeItem(KEY);
    } catch (error) { /* nothing was kept */ }
    record = shown = null;
    view("removed");
  }

  part("agree").addEventListener("click", begin);
  choices.forEach((button, side) => button.addEventListener("click", () => choose(side)));
  part("stop").addEventListener("click", finish);
  part("go-on").addEventListener("click", next);
  part("save").addEventListener("click", save);
  part("copy").addEventListener("click", copy);
  part("delete").addEventListener("click", remove);
  part("sure").addEventListener("close", () => { if (part("sure").returnValue === "delete") removed(); });
  addEventListener("keydown", function (event) {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || part("sure").open) return;
    const side = { 1: 0, 2: 1, ArrowLeft: 0, ArrowRight: 1 }[event.key];
    if (side === undefined || part("question").hidden) return;
    event.preventDefault();
    choose(side);
  });
  addEventListener("storage", function (event) {  // the same page in another tab
    if (event.key !== KEY && event.key !== null) return;
    record = stored();
    next();
  });

  if (record) {
    record.returns += 1;
    keep();
  }
  next();
})();
